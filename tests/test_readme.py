"""README.md says what is so: its blocks run, in the order in which a reader meets them, and what it names is there."""

from __future__ import annotations

import os
import re
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
