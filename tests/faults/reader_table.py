"""Which reader is given which cases: the table of :mod:`tests.faults.test_untrusted`."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from breadth.config import ConfigError, RunSettings, StudySettings, build_settings, read_toml
from breadth.ledger.generations import GenerationsError
from breadth.ledger.rows import LedgerError
from tests.faults import hostile
from tests.faults import readers as read
from tests.faults.drill import RUN, STUDY
from tests.faults.hostile import (
    documents,
    expressions,
    json_values,
    lines,
    objects,
    smiles,
    some,
    tables,
    texts,
    zipped,
)
from tests.faults.readers import Check, file_reader, lazily


def files(data: SearchStrategy[bytes]) -> SearchStrategy[tuple[int, bytes]]:
    return st.tuples(st.integers(0, 7), data)


@cache
def forest_bytes() -> bytes:
    data = io.BytesIO()
    leaf = np.array([0.0, 0.25, 0.75], dtype=np.float32)
    arrays = {
        "feature": np.array([5, -1, -1], dtype=np.int16),
        "right": np.array([2, 0, 0], dtype=np.uint16),
        "leaf": leaf,
        "roots": np.array([0], dtype=np.int32),
    }
    np.savez_compressed(data, format=np.int32(1), about=np.array("{}"), **arrays)
    return data.getvalue()


def forest_with_holes() -> SearchStrategy[bytes]:
    def spoil(parts: tuple[int, int, int]) -> bytes:
        data = bytearray(forest_bytes())
        data[parts[0] % len(data)] ^= parts[1]
        return bytes(data[: len(data) - parts[2] % len(data) // 2])

    return st.tuples(st.integers(0, 5_000), st.integers(0, 255), st.integers(0, 400)).map(spoil)


FIELDS = (
    "prompt",
    "response",
    "completion",
    "reward",
    "score",
    "correct",
    "logprob",
    "step",
    "kind",
    "input",
    "output",
    "advantage",
    "doc_id",
    "arguments",
    "resps",
    "filter",
    "metrics",
    "exact_match",
    "Agent",
    "Prior",
    "Score",
    "SMILES",
    "SMILES_state",
    "set",
    "index",
    "text",
    "quality",
    "sampling",
    "columns",
    "data",
)
said = some(
    [
        "p",
        "r",
        [["p", {}]],
        [["a", "b"]],
        {"gen_args_0": {"arg_0": "p"}},
        [{"role": "user", "content": "x"}],
        1.0,
        3,
        True,
        None,
        "nan",
        "1e999",
        10**400,
        0.5,
        5,
    ]
)
answer_rows = objects(*FIELDS, value=said | json_values)
shaped = st.sampled_from(
    [
        ("step", "prompt", "completion", "advantage"),
        ("input", "output", "score", "step"),
        ("doc_id", "arguments", "resps", "filter", "metrics"),
        ("prompt", "response", "reward"),
        ("Agent", "Prior", "Score", "SMILES", "SMILES_state", "step"),
        ("step", "set", "index", "prompt", "text", "quality"),
    ]
).flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(names, said)))
toml = st.lists(
    st.sampled_from(RUN.encode().splitlines() + STUDY.encode().splitlines()) | st.binary(max_size=12), max_size=20
).map(b"\n".join)
toml_extremes = st.sampled_from(
    [
        b"a = " + b"[" * hostile.DEEP,
        b"a." * 5_000 + b"b = 1",
        b"a = 9" + b"9" * hostile.LONG,
        b"seed = 1e999",
        b"a = '\xff'",
        b"\x00",
        b"seed = nan",
    ]
)
keys = st.sampled_from(["task", "train", "model", "prior", "seed", "objective", "objectives", "study", "engine", "x"])
curve = st.fixed_dictionaries(
    {
        "method": some(["platt", "isotonic", 3]),
        "knots": json_values | some([[0.1, 0.9], [1, 1]]),
        "values": json_values | some([[0.0, 1.0], []]),
    }
)
calibration = st.fixed_dictionaries(
    {
        "format": st.just("breadth-partition-calibration"),
        "version": some([1, 2, "1"]),
        "backend": json_values,
        "fingerprint": json_values,
        "threshold": json_values | some([0.5, "0.5", 1.0]),
        "curve": json_values | curve,
        "record": json_values,
    }
)
classifier = st.fixed_dictionaries(
    {
        "format": st.just("breadth-pair-classifier"),
        "version": some([1, 2]),
        "intercept": json_values | some([0.5]),
        "threshold": json_values | some([0.5]),
        "features": json_values | some([{"rouge1": {"mean": 0, "deviation": 1, "coefficient": 1}}]),
        "rarity": json_values | some([{"n_texts": 1, "count": {}, "floor": 1}]),
        "record": json_values,
    }
)
columns = st.tuples(*[some(["1", "2", "3", "0", "-", "x", "٣", "NOUN", "_", "9" * hostile.LONG])] * 10).map("\t".join)
trees = st.lists(
    columns
    | some(["", "# newdoc id = 3", "# newdoc id = x", "1-2\t", "1\tBirds\t_\tNOUN\t_\t_\t0\t_\t_\t_"])
    | st.text(max_size=9),
    max_size=8,
)
choices = st.fixed_dictionaries(
    {
        "choices": json_values
        | st.lists(
            st.fixed_dictionaries({"message": json_values | some([{"content": "x"}, {"content": 3}])}), max_size=2
        )
    }
)
about = st.fixed_dictionaries(
    {
        "object": some(["breadth.partition", 1]),
        "threshold": json_values,
        "backend": json_values,
        "fingerprint": json_values,
        "clustering": json_values,
    }
)
puzzles = objects("numbers", "target", value=json_values | some([[3, 3, 8, 8], 24, [10**400, 1], [True, 1], -1]))
PLAIN = (".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz")
records = lines(objects("prompt", "question", "answer", "response")) | tables("question", "answer", "prompt")

READERS: dict[str, tuple[Check, SearchStrategy]] = {
    "ledger": (
        file_reader(read.rows, ".jsonl", refuses=LedgerError),
        files(lines(json_values) | st.binary(max_size=200)),
    ),
    "run folder": (
        read.run_folder,
        st.tuples(documents(json_values), lines(objects("study", "objective", "seed", "step", "metric", "value"))),
    ),
    "toml": (
        file_reader(lambda p: build_settings(RunSettings, read_toml(p), where=str(p)), ".toml", refuses=ConfigError),
        files(toml | toml_extremes),
    ),
    "settings": (read.settings_of(RunSettings), st.dictionaries(keys, json_values, max_size=4)),
    "study": (read.settings_of(StudySettings), st.dictionaries(keys, json_values, max_size=4)),
    "override": (read.override, texts | hostile.words_of(*"atrinsep.=[]{}'\" 0123", "train.steps=", "study=", "e999")),
    "manifest": (
        read.manifest,
        documents(
            json_values | st.fixed_dictionaries({"format": st.just(1), "step": json_values, "files": json_values})
        ),
    ),
    "answers": (read.answers, texts | hostile.edges | expressions),
    "smiles": (read.molecule, smiles | texts),
    "expression": (read.expression, expressions | texts),
    "mathematics": (read.mathematics, hostile.formulas | texts),
    "spoken": (
        read.spoken,
        texts
        | documents(json_values).map(lambda b: b.decode(errors="replace"))
        | hostile.words_of("1.", "- ", "[[", "7", "]]", "rating:", "<text>", "{", "\n"),
    ),
    "replies": (read.replies, documents(choices | about | objects("scores", "choices"))),
    "generations": (
        file_reader(read.generations, *PLAIN, ".parquet", refuses=GenerationsError),
        files(lines(answer_rows | shaped) | documents(answer_rows | st.lists(shaped, max_size=3))),
    ),
    "tables of generations": (
        file_reader(read.generations, ".csv", ".csv.gz", refuses=GenerationsError),
        files(tables(*FIELDS) | zipped(tables(*FIELDS))),
    ),
    "corpus": (
        file_reader(read.corpus, ".smi", ".csv", ".tsv", ".txt", ".csv.gz", ".parquet"),
        files(tables("smiles", "split", "x", cells=smiles) | zipped(tables("smiles"))),
    ),
    "activity": (
        file_reader(lazily("breadth.tasks.oracles.activity.read_activity"), ".csv", ".tsv", ".csv.gz", ".parquet"),
        files(tables("smiles", "label", "split", cells=smiles)),
    ),
    "forest": (
        file_reader(lazily("breadth.tasks.oracles.forest.Forest.load"), ".npz"),
        files(forest_with_holes() | st.binary(max_size=80)),
    ),
    "scores": (
        file_reader(lazily("breadth.experiments.tilt.read_scores"), ".csv", ".csv.gz"),
        files(tables("smiles", "score") | zipped(tables("smiles", "score"))),
    ),
    "questions": (
        file_reader(lazily("breadth.tasks.question_files.read_records"), *PLAIN, ".parquet"),
        files(records | zipped(records)),
    ),
    "prompts": (
        file_reader(lazily("breadth.generation.prompts.read_prompts"), *PLAIN, ".txt", refuses=GenerationsError),
        files(lines(objects("turns", "prompt", "id")) | records),
    ),
    "references": (
        file_reader(lazily("breadth.scoring.questions.read_references"), ".jsonl", ".json", refuses=GenerationsError),
        files(lines(objects("turns", "prompt", "reference"))),
    ),
    "puzzles": (
        file_reader(lazily("breadth.tasks.puzzles.read_puzzle_file"), ".jsonl", ".jsonl.gz"),
        files(lines(puzzles) | zipped(lines(puzzles))),
    ),
    "judged pairs": (
        file_reader(read.judged, ".jsonl", ".jsonl.gz"),
        files(lines(objects("prompt", "generations", "partition")) | zipped(lines(json_values))),
    ),
    "examples": (
        file_reader(read.examples, ".jsonl"),
        files(
            lines(
                objects(
                    "prompt", "chosen", "rejected", "completion", value=some(["a", "b", "a b", "x", 3, "a b c a b"])
                )
            )
        ),
    ),
    "calibration": (
        file_reader(lazily("breadth.partitions.calibration_file.load_calibration"), ".json"),
        files(documents(calibration | json_values)),
    ),
    "classifier": (
        file_reader(lazily("breadth.partitions.classifier.load_classifier"), ".json"),
        files(documents(classifier | json_values)),
    ),
    "trees": (
        file_reader(lazily("breadth.metrics.dependency_trees.read_conllu_documents"), ".conllu"),
        files(trees.map(lambda found: "\n".join(found).encode("utf-8", "surrogatepass")) | st.binary(max_size=60)),
    ),
}
