"""Each example is a script that ends by itself, asserts what it prints, and leaves nothing on stderr."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hume.testing import BasicEventStoreConformance, SnapshotStoreConformance

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
# without what git sets for its hooks, should these tests run in one
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C.UTF-8"}

PRINTS = {
    "quickstart": ["published event 1", "the state is {'foo': 42}", "published event 2", "the state is {}"],
    "crash_and_recover": [
        "snapshot saved at event 10000",
        "restarted from the snapshot at event 10000",
        "the heir handed back the table ('hume', 'snapshot', 'balances') to owner number 3",
        "events replayed: 7",
        "it crashed with TypeError(\"unsupported operand type(s) for +: 'int' and 'str'\")",
        "the state is {'ann': 10000, 'bob': 42}",
        "events replayed: 9",
    ],
    "thread_pool": ["best sellers: [('tea', 800), ('milk', 504)]", "cents taken: 405000"],
    "bank": [
        "after 4 events: 40000 cents in 4 accounts, 10000 or more in each",
        "events replayed, after the last snapshot: 4",
    ],
    "custom_stores": ["visits so far: 0", "now: {'ann': 2, 'bob': 1}", "the snapshot holds event 3"],
    "inventory": [
        "lamps reserved by eight customers at once: 60",
        "left: {'lamp': 0, 'chair': 4}",
        "one is given back, and goes to zoe as event 64",
    ],
    "read_model": [
        "to be shipped: {'order-2': 2450, 'order-3': 3000}",
        "up to position 9 of the store",
        "one of them: Order(customer='bob', cents=2450, items=('lamp', 'chair'), shipped=False)",
    ],
    "tested_projection": ["passed: points add up", "passed: a store that fails once is read again"],
    "upcasting": [
        "AccountOpened(owner='ann', currency='EUR')",
        "Received(cents=7)",
        "events in the file, which is as it was: 4",
    ],
    "web_app": ["40 notes were written, and each was in the answer to its request", "GET: 200 OK 10 notes"],
    "tracing": ["POST /sales", "    process Stock", "        process Orders"],
    "supervision": [
        "the caller gets the error: paper jam",
        "reason: crashed with RuntimeError('paper jam')",
        "reason: killed",
        "no event was lost: the stock is {'tea': 7}",
    ],
}


def run(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run an example as a user would, from another directory, with warnings as errors."""
    env = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]
    return subprocess.run(  # noqa: S603 - our own scripts
        command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=120, check=False
    )


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what an example that ended well has printed."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_example_is_known_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*PRINTS, "git_history"}


@pytest.mark.parametrize("name", PRINTS)
def test_example_ends_by_itself_and_prints_what_it_asserts(name: str, tmp_path: Path) -> None:
    printed = iter(lines_of(run(name, cwd=tmp_path)))
    missing = [line for line in PRINTS[name] if line not in printed]  # `in` an iterator: they come in this order
    assert missing == []


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
@pytest.mark.parametrize("where", ["to a terminal that knows ASCII only", "nowhere"])
def test_example_runs_wherever_its_output_goes(example: Path, where: str) -> None:
    nowhere = "" if where != "nowhere" else "import sys; sys.stdout = None; "  # as of a program that has no console
    program = f"import runpy; {nowhere}runpy.run_path({str(example)!r}, run_name='__main__')"
    command = [sys.executable, "-W", "error", "-c", program]
    env = {**ENVIRONMENT, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, encoding="ascii", timeout=120, check=False)  # noqa: S603 - our own scripts
    assert (done.returncode, done.stderr) == (0, "")
    assert (done.stdout == "") == (where == "nowhere")


def test_every_example_is_under_100_lines() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EXAMPLES.glob("*.py")}
    assert {name: count for name, count in lines.items() if count >= 100} == {}


def test_the_tree_is_drawn_before_and_after_each_crash(tmp_path: Path) -> None:
    printed = lines_of(run("supervision", cwd=tmp_path))
    assert sum(line.startswith("Application") for line in printed) == 4
    assert [line.strip().split(",")[0] for line in printed[:9]] == [
        "Application",
        "├── HeirActor",
        "└── Supervisor 'shop'",
        "├── EventStoreActor",
        "└── Supervisor 'office'",
        "├── Stock 'stock'",
        "└── Supervisor 'desk'",
        "├── Printer 'labels'",
        "└── Printer 'bills'",
    ]


# -- stores of one's own


def custom(name: str) -> Any:
    return runpy.run_path(str(EXAMPLES / "custom_stores.py"))[name]


class TestTextStore(BasicEventStoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        return custom("TextStore")(tmp_path)


class TestTextSnapshots(SnapshotStoreConformance):
    @pytest.fixture
    def snapshots(self, tmp_path: Path) -> Any:
        return custom("TextSnapshots")(tmp_path)


# -- bank


def books(done: subprocess.CompletedProcess[str]) -> tuple[list[int], int]:
    """Return after how many events the books were found in order, and how many events were replayed at the start."""
    counts = [
        re.fullmatch(r"after (\d+) events: 40000 cents in 4 accounts, \d+ or more in each", line)
        for line in done.stdout.splitlines()
    ]
    (replayed,) = re.findall(r"events replayed, after the last snapshot: (\d+)", done.stdout)
    return [int(count[1]) for count in counts if count], int(replayed)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_the_bank_goes_on_where_it_was_also_after_a_crash(tmp_path: Path) -> None:
    first = run("bank", cwd=tmp_path)
    (begun, ended), replayed = books(first)
    assert (begun, replayed, first.returncode, first.stderr) == (4, 4, 0, "")
    crashed = run("bank", "--crash", cwd=tmp_path)
    assert books(crashed) == ([ended], 0)  # the first one has ended in order, with a snapshot
    assert crashed.returncode == -signal.SIGKILL
    (begun, ended_again), replayed = books(run("bank", cwd=tmp_path))
    assert ended < begun < ended_again
    assert replayed == begun - ended or 0 < replayed < 100  # a snapshot may have been taken before the crash
    assert books(run("bank", cwd=tmp_path))[0][0] == ended_again


# -- git_history

GIT = ENVIRONMENT | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Zoë",
    "GIT_AUTHOR_EMAIL": "zoe@example.org",
    "GIT_COMMITTER_NAME": "Carl",
    "GIT_COMMITTER_EMAIL": "carl@example.org",
}


def git(repo: Path, *arguments: str, **env: str) -> None:
    """Run git in a repository, untouched by this machine's configuration."""
    command = ["git", *arguments]
    subprocess.run(command, cwd=repo, env={**GIT, **env}, check=True, capture_output=True)  # noqa: S603 - our own git


def commit(repo: Path, *files: bytes, **env: str) -> None:
    """Change files, and commit them."""
    for file in files:
        with (repo / os.fsdecode(file)).open("a") as opened:
            opened.write("line\n")
    git(repo, "add", "--all")
    git(repo, "commit", "--allow-empty", "--message", "one line\n\nand another", **env)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A new git repository."""
    path = tmp_path / "a repo"
    path.mkdir()
    git(path, "init", "--initial-branch", "main")
    return path


def history(*arguments: str, cwd: Path) -> str:
    """Return what git_history prints."""
    return "\n".join(lines_of(run("git_history", *arguments, cwd=cwd)))


def test_git_history_counts_commits_by_author_and_changes_by_file(repo: Path, tmp_path: Path) -> None:
    commit(repo)  # changes no file
    commit(repo, b"twice", b"once")
    commit(repo, b"twice", GIT_AUTHOR_NAME="Ann")
    assert history(str(repo), cwd=tmp_path) == (
        "3 commits\n"
        "\ncommits by author\n       2  Zoë\n       1  Ann\n"
        "\nchanges by file\n       2  twice\n       1  once"
    )


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="its file names are text")
def test_git_history_takes_any_file_name(repo: Path, tmp_path: Path) -> None:
    names = [b"\nline\nends\n", b" spaces ", b":100644 100644", b"broken \xff", "größe".encode()]
    commit(repo, *names)
    shown = history(str(repo), cwd=tmp_path).split("changes by file\n")[1].splitlines()
    assert set(shown) == {
        rf"       1  {name}" for name in (r"'\nline\nends\n'", " spaces ", ":100644 100644", r"broken \xff", "größe")
    }


def test_git_history_counts_each_commit_of_a_merge_once(repo: Path, tmp_path: Path) -> None:
    commit(repo, b"base")
    git(repo, "checkout", "-b", "side")
    commit(repo, b"side")
    git(repo, "checkout", "main")
    commit(repo, b"main")
    git(repo, "merge", "--no-ff", "--message", "merge", "side")
    git(repo, "checkout", "-b", "unmerged", "main")
    commit(repo, b"unmerged")
    git(repo, "checkout", "main")
    printed = history(str(repo), cwd=tmp_path)
    assert printed.startswith("5 commits\n")
    assert set(printed.split("changes by file\n")[1].splitlines()) == {
        f"       1  {name}" for name in ("base", "side", "main", "unmerged")
    }


def test_git_history_of_a_repository_without_commits_is_empty(repo: Path, tmp_path: Path) -> None:
    assert history(str(repo), cwd=tmp_path) == "0 commits\n\ncommits by author\n\nchanges by file"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="these sources are not in a repository")
def test_git_history_reads_by_default_the_repository_that_it_is_in(tmp_path: Path) -> None:
    assert history(cwd=tmp_path) == history(str(ROOT), cwd=tmp_path)


@pytest.mark.parametrize("exists", [True, False])
def test_git_history_says_when_there_is_no_repository(tmp_path: Path, *, exists: bool) -> None:
    place = tmp_path / "elsewhere"
    if exists:
        place.mkdir()
    done = run("git_history", str(place), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{str(place)!r} is no git repository; git says: fatal: " in done.stderr
    assert "Traceback" not in done.stderr
