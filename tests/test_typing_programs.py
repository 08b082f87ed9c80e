"""The programs that must type-check also run: what they say of types is so. What type checkers say: tests/typing."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

PROGRAMS = sorted(Path(__file__).parent.glob("typing/must/*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=[path.stem for path in PROGRAMS])
def test_what_must_type_check_runs(program: Path) -> None:
    runpy.run_path(str(program), run_name="__main__")


def test_there_are_programs() -> None:
    assert PROGRAMS
