"""The benchmarks run, and say in JSON what they found; what they found is not looked at here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import in_memory, profiler, report


def test_the_benchmarks_run_and_write_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    benchmarks.main(["--quick", "--rounds", "2", "--only", "read", "call, over", "--json", str(file)])
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    assert [row["name"] for row in rows] == ["read", "call, over the floor"]
    assert [row["target"] for row in rows] == ["<= 0.15", None]
    for row in rows:
        assert row["skipped"] is None
        for figure in ("reference", "ours", "ratio"):
            assert 0 < row[figure]["low"] <= row[figure]["median"] <= row[figure]["high"]
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith("work")
    assert [line.split("  ")[0] for line in lines] == ["read", "call, over the floor"]


def test_a_row_whose_peer_is_not_installed_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module", name="eventsourcing")

    monkeypatch.setattr(in_memory, "peer", missing)
    benchmarks.main(["--quick", "--only", "live, waited"])
    assert "skipped: eventsourcing is not installed: pip install 'hume-es[bench]'" in capsys.readouterr().out


def test_a_name_that_no_benchmark_has_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks.main(["--only", "nothing"])
    assert "no row is called 'nothing', or begins so; there are: call; " in capsys.readouterr().err


def test_a_profile_counts_the_innermost_functions_by_file() -> None:
    root = Path(benchmarks.__file__).parents[2]
    stacks = [
        f"main (x.py:1);get (with space) ({root}/hume/a.py:12) 3",
        f"get (with space) ({root}/hume/a.py:90) 4",
        "wait (y.py:3) 3",
    ]
    found = profiler.own_time(stacks)
    assert found == {"get (with space) (hume/a.py)": 7, "wait (y.py)": 3}
    assert report.shares(found) == "  70.0%  get (with space) (hume/a.py)\n  30.0%  wait (y.py)"
