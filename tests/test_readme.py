"""README.md says what is so: its blocks run, in the order in which a reader meets them, and what it names is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import hume
from tests.test_quickstart import PROGRAM

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def program() -> str:
    """Return all Python blocks as one program in which each line has the number that it has in README.md."""
    lines = [""] * README.count("\n")
    for match in re.finditer(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        first = README.count("\n", 0, match.start(1))
        block = match[1].splitlines()
        lines[first : first + len(block)] = block
    return "\n".join(lines)


def test_the_first_block_is_the_quickstart() -> None:
    assert blocks("python")[0] == PROGRAM


def test_every_python_block_runs(tmp_path: Path) -> None:
    script = tmp_path / "README.py"
    script.write_text(program(), encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(  # noqa: S603 - the blocks above
        command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "└── Supervisor 'shop', running" in done.stdout


def test_every_command_for_a_file_runs(tmp_path: Path) -> None:
    (block,) = (block for block in blocks("python") if "class Takings" in block)
    module, use = block.split("SQLiteEventStore.start_link", 1)
    module = f"import hume\nfrom dataclasses import dataclass\n{module}"
    (tmp_path / "shop.py").write_text(module, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    start = f"from shop import *\nSQLiteEventStore.start_link{use}"
    subprocess.run([sys.executable, "-c", start], cwd=tmp_path, env=env, timeout=120, check=True)  # noqa: S603 - the block
    (commands,) = (block for block in blocks("sh") if block.startswith("hume "))
    for line in commands.splitlines():
        program = "from hume.cli import main; main()"
        command = [sys.executable, "-c", program, *shlex.split(line, comments=True)[1:]]
        with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE) as running:  # noqa: S603 - as above
            assert running.stdout is not None
            if "--follow" in line:  # which shows what there is, and goes on
                assert running.stdout.readline()
                running.kill()
            else:
                assert running.wait(120) == 0, line


def test_the_commands_for_a_new_environment_are_where_ci_looks_for_them() -> None:
    found = dict(re.findall(r"^<!-- ci:(\w+) -->\n```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))
    new = "python3 -m venv .venv && .venv/bin/pip install -e"
    assert found == {
        "quickstart": f"{new} . && .venv/bin/python examples/quickstart.py\n",
        "test": f'{new} ".[test]" && .venv/bin/python -m pytest\n',
    }


def test_every_file_that_is_linked_is_there_and_every_example_is_linked() -> None:
    linked = {target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target}
    assert linked == {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}


def test_every_option_of_a_projection_is_in_the_table() -> None:
    table = README.split("| option, in the class line or at the start |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", re.sub(r"(?m)\|[^|]*\|[^|]*\|$", "", table))) == set(
        hume.Projection.__hume_options__.__slots__
    )


def test_every_name_of_hume_that_is_mentioned_is_there() -> None:
    named = set(re.findall(r"\bhume\.(\w+)", README))
    assert [name for name in sorted(named) if not hasattr(hume, name)] == []
