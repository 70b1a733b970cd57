"""Files of generations: every tool's log, every kind of file, and what is said of a bad one."""

from __future__ import annotations

import csv
import gzip
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from breadth.ledger.generations import GenerationsError, count_rows, describe_source, read_generations


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def read(path, **options):
    return list(read_generations(path, **options))


def test_plain_rows_in_all_kinds_of_files(tmp_path):
    rows = [{"prompt": "p", "response": f"ä {i}", "reward": i / 2, "step": i} for i in range(3)]
    plain = jsonl(tmp_path / "a.jsonl", rows)
    expected = [("p", f"ä {i}", i / 2, i) for i in range(3)]
    zipped = tmp_path / "b.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    misnamed = tmp_path / "c.jsonl"  # gzip by its bytes, not by its name
    misnamed.write_bytes(zipped.read_bytes())
    table = tmp_path / "d.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    listed = tmp_path / "e.json"
    listed.write_text(json.dumps(rows))
    comma = tmp_path / "f.csv"
    with open(comma, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for path in (plain, zipped, misnamed, table, listed, comma):
        assert [(g.prompt, g.response, g.reward, g.step) for g in read(path)] == expected, path
    assert [g.line for g in read(comma)] == [2, 3, 4] and count_rows(plain) == 3


def test_trl_completions_one_file_a_step(tmp_path):
    folder = tmp_path / "completions"
    folder.mkdir()
    for step in (5, 10, 200):
        rows = [
            {"step": str(step), "prompt": [{"role": "user", "content": "hi"}], "completion": [{"role": "assistant", "content": c}],
             "length_reward": 0.5, "accuracy": None if c == "b" else 1.0, "advantage": 0.1}
            for c in "ab"
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), folder / f"completions_{step:05d}.parquet")
    source = describe_source(folder)
    assert source.format.name == "trl" and "length_reward + accuracy (the log does not hold their weights)" in source.sentence
    found = read(folder)
    assert [g.step for g in found] == [5, 5, 10, 10, 200, 200]
    assert (found[0].prompt, found[0].response, found[0].reward, found[1].reward) == ("hi", "a", 1.5, 0.5)
    assert read(folder, fields={"reward": "accuracy"})[1].reward is None


def test_verl_dumps_in_the_order_of_their_numbers(tmp_path):
    for step in (10, 9, 100):
        jsonl(tmp_path / f"{step}.jsonl", [{"input": "q", "output": "a", "gts": "4", "score": 0.0, "step": step, "acc": True}])
    assert describe_source(tmp_path).format.name == "verl"
    assert [(g.step, g.reward, g.correct) for g in read(tmp_path)] == [(9, 0.0, 1.0), (10, 0.0, 1.0), (100, 0.0, 1.0)]


def test_lm_eval_samples_of_both_versions_and_filters(tmp_path):
    row = {"doc_id": 0, "doc": {}, "target": "4", "resps": [["4", "five"]], "filtered_resps": ["4"], "exact_match": 1.0}
    new = {**row, "arguments": {"gen_args_0": {"arg_0": "2+2?", "arg_1": {"until": []}}}, "filter": "strict", "metrics": ["exact_match"]}
    path = jsonl(tmp_path / "samples_gsm8k.jsonl", [new, {**new, "filter": "flexible"}])
    found = read(path)
    assert [(g.prompt, g.response, g.correct) for g in found] == [("2+2?", "4", None), ("2+2?", "five", None)]
    single = {**row, "resps": [["4"]], "arguments": [["2+2?", {"until": []}]]}
    old = read(jsonl(tmp_path / "old.jsonl", [single]))
    assert [(g.prompt, g.response, g.correct) for g in old] == [("2+2?", "4", 1.0)]


def test_reinvent_staged_learning_with_a_repeated_header(tmp_path):
    path = tmp_path / "staged_1.csv"
    header = "Agent,Prior,Target,Score,SMILES,SMILES_state,QED,QED (raw),step"
    path.write_text(f"{header}\n20.5,21.0,3.0,0.7,CCO,1,0.7,0.7,1\n{header}\n19.0,,3.0,0.0,C(,0,0.0,0.0,2\n")
    first, second = read(path)
    assert describe_source(path).format.title == "REINVENT 4 staged-learning CSV"
    assert (first.prompt, first.response, first.reward, first.logprob, first.step, first.valid) == ("", "CCO", 0.7, -20.5, 1, True)
    assert (second.step, second.valid) == (2, False)


def test_wandb_table_of_trl(tmp_path):
    columns = ["step", "prompt", "completion", "accuracy_reward", "advantage"]
    path = tmp_path / "completions_3.table.json"
    path.write_text(json.dumps({"columns": columns, "data": [["1", "p", "c", 1.0, 0.0], ["1", "p", "d", 0.0, 0.0]]}))
    source = describe_source(path)
    assert source.format.name == "trl" and source.format.title == "TRL completions, exported as a wandb table"
    assert [g.reward for g in read(path)] == [1.0, 0.0]
    path.write_text(json.dumps({"columns": columns, "data": [["1", "p"]]}))
    with pytest.raises(GenerationsError, match="expected 5 cells in row 1, got 2"):
        read(path)


def test_noveltybench_rows_with_lists(shared_data):
    found = read(shared_data / "noveltybench_gemini15pro_curated_scored.jsonl.gz")
    assert len(found) == 1000 and found[0].kind == "0" and found[0].reward is not None


def test_columns_with_names_of_their_own(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"frage": "p", "antwort": "r"}])
    with pytest.raises(GenerationsError, match=r"line 1: expected columns for prompt and response, got frage, antwort; name them"):
        read(path)
    assert read(path, fields={"prompt": "frage", "response": "antwort"})[0].response == "r"
    with pytest.raises(GenerationsError, match="no column 'x'; columns: frage, antwort"):
        read(path, fields={"prompt": "x"})
    with pytest.raises(GenerationsError, match="fields: unknown field 'promt'; known: prompt"):
        read(path, fields={"promt": "frage"})
    with pytest.raises(GenerationsError, match="format: unknown 'trll'; known: trl, verl"):
        read(path, format="trll")


GOOD = b'{"prompt": "p", "response": "r"}\n'


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", GOOD + b'{"prompt": "p"}\n', r"a.jsonl, line 2: missing field 'response' \(response\); the row has prompt"),
        ("a.jsonl", GOOD + b'{"prompt": "p", "response": null}\n', r"line 2: expected text in 'response' \(response\), got null"),
        ("a.jsonl", GOOD + b"\n\n{oops\n", "line 4: expected a JSON object, got '{oops'"),
        ("a.jsonl", GOOD + b"[1]\n", "line 2: expected a JSON object, got list"),
        ("a.jsonl", GOOD + b'{"prompt": "\xe4"}\n', "line 2: expected UTF-8, got the byte 0xe4 .*convert the file"),
        ("a.csv", b"prompt,response\np,r\np,\xff\n", "line 3: expected UTF-8, got the byte 0xff"),
        ("a.csv", b"prompt,response\np\n", "line 2: expected 2 cells, as in the header, got 1"),
        ("a.json", b'[\n{"prompt": "\xe4"}]', "line 2: expected UTF-8, got the byte 0xe4"),
        ("a.jsonl", b'{"prompt": "p", "response": "r", "reward": "good"}\n', "line 1: expected a number in 'reward', got 'good'"),
        ("a.jsonl", b'{"prompt": "p", "response": "r", "reward": Infinity}\n', "expected a finite number in 'reward'"),
        ("a.jsonl", b'{"prompt": "p", "response": "r", "step": 1.5}\n', "expected a whole number in 'step'"),
        ("a.jsonl", b'{"prompt": "p", "response": ["a", "b"], "reward": [1]}\n', "expected 2 entries in 'reward'.*, got 1"),
        ("a.jsonl", b"", "expected at least one row, got none"),
        ("a.parquet", b"PAR1 no", "not a readable Parquet file"),
        ("a.jsonl.gz", gzip.compress(GOOD * 500, mtime=0)[:-20], "the gzip file is cut off or damaged"),
        ("a.txt", GOOD, "expected a name ending in .jsonl, .json, .parquet, .csv"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(GenerationsError, match=message):
        read(tmp_path / name)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file of generations or a folder of them, got nothing"):
        read(tmp_path / "none.jsonl")
    with pytest.raises(FileNotFoundError, match="expected files ending in .jsonl"):
        read(tmp_path)


def test_unscored_and_empty(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": "", "response": "", "reward": None}])
    path.write_text(path.read_text() + '{"prompt": "", "response": " ", "reward": NaN}\n')
    assert [(g.response, g.reward) for g in read(path)] == [("", None), (" ", None)]


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", ({"prompt": "p", "response": "x" * 500} for _ in range(20_000)))
    tracemalloc.start()
    assert count_rows(path) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6, peak  # of a file of 10 MB
