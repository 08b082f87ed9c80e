"""Asks both type checkers about all programs, once, and compares."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = sorted([*HERE.glob("must/*.py"), *HERE.glob("must_not/*.py")])

Finding = tuple[str, int, str]  # file, line, rule


def expected() -> set[Finding]:
    """Return what the programs say of themselves."""
    found: set[Finding] = set()
    for path in PROGRAMS:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            marked = re.search(r"# error: ([\w, -]+)$", line)
            if marked:
                found |= {(str(path.relative_to(ROOT)), number, rule.strip()) for rule in marked[1].split(",")}
    return found


def asked(*command: str) -> str:
    """Return what a checker prints; it is an error when it can't do its work."""
    files = [str(path) for path in PROGRAMS]
    run = subprocess.run([*command, *files], cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 - ours
    if run.returncode not in {0, 1}:  # 1: there are errors, as there must be
        sys.exit(f"{command[0]} failed:\n{run.stdout}{run.stderr}")
    return run.stdout


def by_mypy() -> dict[Finding, str]:
    """Return mypy's errors, with their texts."""
    errors: dict[Finding, str] = {}
    for line in asked("mypy", "--strict", "--output", "json").splitlines():
        about: dict[str, Any] = json.loads(line)
        if about["severity"] == "error":
            errors[about["file"], about["line"], about["code"]] = about["message"]
    return errors


def by_pyright() -> dict[Finding, str]:
    """Return pyright's errors, with their texts."""
    errors: dict[Finding, str] = {}
    for about in json.loads(asked("pyright", "--outputjson"))["generalDiagnostics"]:
        file = str(Path(about["file"]).relative_to(ROOT))
        errors[file, about["range"]["start"]["line"] + 1, about["rule"]] = about["message"].partition("\n")[0]
    return errors


def main() -> None:
    """Compare, and fail with all that differs."""
    wanted, found = expected(), by_mypy() | by_pyright()
    for file, line, rule in sorted(wanted - found.keys()):
        print(f"{file}:{line}: there must be an error: {rule}")
    for file, line, rule in sorted(found.keys() - wanted):
        print(f"{file}:{line}: error: {found[file, line, rule]} [{rule}]")
    print(f"{len(PROGRAMS)} programs, {len(wanted)} errors that must be there")
    sys.exit(wanted != found.keys() or not wanted)


if __name__ == "__main__":
    main()
