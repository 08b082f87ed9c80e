"""Read every commit of a git repository as an event stream: who commits, and which files change most."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import hume

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Commit:
    id: str
    author: str
    files: tuple[str, ...]  # a merge has none: its files were changed by the commits that it joins


class CommitsPerAuthor(hume.Projection[Counter[str]], store=hume.EventStoreActor, snapshot_every=10_000):
    def init_state(self, projection: Any) -> Counter[str]:
        return Counter()

    def handle_event(self, commit: Commit, state: Counter[str]) -> Counter[str]:
        state[commit.author] += 1
        return state


class ChangesPerFile(CommitsPerAuthor):
    def handle_event(self, commit: Commit, state: Counter[str]) -> Counter[str]:
        state.update(commit.files)
        return state


def commits(repo: str) -> Iterator[Commit]:
    """Yield the commits of all branches, the oldest first, while git still writes them."""
    command = ["git", "-C", repo, "-c", "log.showRoot=true", "log", "--all", "--reverse", "--topo-order", "--raw", "-z"]
    command += ["--no-renames", "--no-relative", "--no-color", "--no-show-signature", "--format=%H%x00%aN"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as git:  # noqa: S603 - no shell reads it
        assert git.stdout is not None
        fields, header, files = split(git.stdout), ("", ""), list[str]()
        for field in fields:
            if field.lstrip("\n").startswith(":"):  # ":<modes> <hashes> <status>"; the next field is the file's name
                files.append(next(fields))
            elif field:  # a commit's hash
                if header[0]:
                    yield Commit(*header, tuple(files))
                header, files = (field, next(fields)), []
        if header[0]:
            yield Commit(*header, tuple(files))
    if git.returncode:
        raise subprocess.CalledProcessError(git.returncode, command)


def split(stream: IO[bytes]) -> Iterator[str]:
    """Yield the text between NUL bytes; a file's name may hold any other byte, line ends and broken UTF-8 too."""
    rest = b""
    while chunk := stream.read(1 << 16):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from (field.decode(errors="backslashreplace") for field in whole)
    yield rest.decode(errors="backslashreplace")


def show(title: str, top: list[tuple[str, int]]) -> None:
    print(f"\n{title}")
    for name, count in top:
        print(f"{count:8,}  {name if name.isprintable() else ascii(name)}")


def main() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names may be in any script
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repo", nargs="?", default=str(Path(__file__).parent), help="default: the one this file is in")
    repo = parser.parse_args().repo
    look = ["git", "-C", repo, "rev-parse", "--git-dir"]
    answer = subprocess.run(look, capture_output=True, text=True, check=False)  # noqa: S603 - no shell reads it
    if answer.returncode:
        parser.error(f"{repo!r} is no git repository; git says: {answer.stderr.strip()}")  # exit code 2

    hume.EventStoreActor.start_link()
    authors, files = (hume.start_link(cls, stream="commits") for cls in (CommitsPerAuthor, ChangesPerFile))
    numbers = [hume.publish(hume.EventStoreActor, "commits", commit) for commit in commits(repo)]

    print(f"{len(numbers):,} commits")
    assert hume.query(authors, lambda state: state.total(), timeout=None) == len(numbers), "each has one author"
    show("commits by author", hume.query(authors, lambda state: state.most_common(5), timeout=None))
    show("changes by file", hume.query(files, lambda state: state.most_common(5), timeout=None))


if __name__ == "__main__":
    main()
