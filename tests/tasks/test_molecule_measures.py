"""The ledger rows of molecules, by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from breadth.metrics.measure import measure_sets
from breadth.tasks.fingerprints import mean_pairwise_tanimoto
from breadth.tasks.molecules import MoleculesTask


def rows_of(task, texts, scores):
    found = task.more_measurements(texts, None, group=np.zeros(len(texts)), scores=scores, keys=task.key(texts))
    return {row.metric: row for row in found}


def test_counts_by_hand():
    task = MoleculesTask(lambda smiles: [0.0] * len(smiles), correct_at=0.5)
    texts = ["CCO", "OCC", "c1ccccc1", "Cc1ccccc1", "C((", "CCN"]
    # CCO (twice), benzene, toluene, CCN; toluene and benzene share 3 of 11 bits (distance .73), CCO and CCN 1/3 (.67)
    rows = rows_of(task, texts, np.array([0.9, 0.9, 0.6, np.nan, 0.0, 0.7]))
    assert {name: row.value for name, row in rows.items()} == {
        "circles": 2.0, "hits": 3.0, "diverse_hits": 2.0, "scaffolds": 1.0,
    }  # fmt: skip
    assert {(row.n, row.n_unscored, row.error, row.sets) for row in rows.values()} == {(5, 1, None, ())}
    assert rows_of(task, texts, np.array([0.9, 0.9, 0.4, np.nan, 0.0, 0.7]))["hits"].value == 2.0


def test_nothing_parsable_counts_zero():
    task = MoleculesTask()
    assert {row.value for row in rows_of(task, ["C((", ""], np.zeros(2)).values()} == {0.0}


def test_they_stand_behind_the_rows_that_every_task_has():
    task = MoleculesTask(lambda smiles: [len(s) / 10 for s in smiles])
    names = [row.metric for row in measure_sets(task, [["CCO", "CCN"], ["c1ccccc1", "CC"]])]
    assert names[:2] == ["quality", "quality_parsable"]
    assert [name for name in names if name in ("circles", "hits", "diverse_hits", "scaffolds")] == names[-4:]


def test_a_steps_own_diversity_is_logged_and_follows_from_its_texts_alone():
    task = MoleculesTask()
    texts = ["CCO", "CCN", "C((", "CCO"]
    assert task.step_statistics(texts)["diversity"] == pytest.approx(mean_pairwise_tanimoto(["CCO", "CCN", "CCO"]))
    assert task.step_statistics(texts) == MoleculesTask().step_statistics(texts)
    assert task.step_statistics(["CCO", "C(("]) == {}
