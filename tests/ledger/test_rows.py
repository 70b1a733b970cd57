"""Rows go in whole and come out checked; only a torn last line is forgiven, and said."""

import pytest

from breadth.ledger.rows import (
    COLUMNS,
    LedgerError,
    append_rows,
    check_ledger,
    finite,
    keep_rows,
    measurement_row,
    read_rows,
    write_atomic,
)
from breadth.ledger.run import load_run
from breadth.records import Measurement


def row(step, metric="quality", value=0.5):
    return measurement_row(
        Measurement(metric, value, None, 10), study="s", objective="o", seed=0, step=step, checkpoint="c"
    )


def test_rows_come_back_as_they_went_in(tmp_path):
    path = tmp_path / "ledger.jsonl"
    rows = [row(0), row(10, value=1 / 3), row(20, value=float("nan"))]
    append_rows(path, rows[:1])
    append_rows(path, rows[1:])
    assert read_rows(path) == rows
    assert read_rows(path)[1]["value"] == 1 / 3 and read_rows(path)[2]["value"] is None
    assert tuple(rows[0]) == COLUMNS


def test_a_torn_last_line_is_cut_and_said(tmp_path):
    path = tmp_path / "ledger.jsonl"
    append_rows(path, [row(0), row(10)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    said = []
    assert len(read_rows(path)) == 1, "a reader that may not write leaves the file alone"
    assert path.read_bytes() == whole[:-7]
    assert len(read_rows(path, on_repair=said.append)) == 1
    assert "the last line was cut off after" in said[0] and "is written again" in said[0]
    append_rows(path, [row(10)])
    assert path.read_bytes() == whole


@pytest.mark.parametrize("bad", [b"{oops}\n", b"[1]\n", b"\xff\xfe\n", b"\n"])
def test_any_other_damage_is_refused_with_its_line(tmp_path, bad):
    path = tmp_path / "ledger.jsonl"
    append_rows(path, [row(0), row(10)])
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(lines[0] + b"\n" + bad + lines[1] + b"\n")
    with pytest.raises(LedgerError, match=r"ledger.jsonl, line 2: expected a JSON object"):
        read_rows(path)


def test_double_and_missing_columns_are_refused(tmp_path):
    with pytest.raises(LedgerError, match="step 0, metric 'quality' stands here a second time"):
        check_ledger(tmp_path / "ledger.jsonl", [row(0), row(0)])
    broken = {k: v for k, v in row(0).items() if k not in ("n", "unit")}
    with pytest.raises(LedgerError, match=r"line 1: .*missing n, unit"):
        check_ledger(tmp_path / "ledger.jsonl", [broken])


def test_keep_rows_rewrites_atomically(tmp_path):
    path = tmp_path / "ledger.jsonl"
    append_rows(path, [row(s) for s in (0, 10, 20)])
    assert keep_rows(path, lambda r: r["step"] < 20, on_repair=lambda _: None) == 1
    assert [r["step"] for r in read_rows(path)] == [0, 10]
    assert keep_rows(tmp_path / "none.jsonl", lambda r: True, on_repair=lambda _: None) == 0


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write_atomic(path, b"old")

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_finite_turns_what_is_not_known_into_none():
    assert finite(None) is None and finite(float("inf")) is None and finite(float("nan")) is None and finite(2) == 2.0


def test_a_folder_that_is_no_run_says_what_a_run_holds(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not a run folder: expected config.json and ledger.jsonl in it"):
        load_run(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ledger.jsonl").write_text("")
    with pytest.raises(FileNotFoundError, match=r"run folders below it: a"):
        load_run(tmp_path)
