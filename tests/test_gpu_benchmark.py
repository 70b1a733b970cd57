"""The benchmark for a GPU runs from end to end on a CPU with a toy, so that a machine that is lent for minutes is not spent on its mistakes."""

from __future__ import annotations

import json

import pytest
import torch

from breadth.engine.gpt import GPT, GPTShape
from tests.benchmark_drivers import drivers


@pytest.fixture(scope="module")
def gpu():
    """Return the driver."""
    return drivers("gpu")[0]


TINY = ["--device", "cpu", "--tiny", "--rounds", "2"]


def test_it_samples_steps_and_writes_both(gpu, tmp_path, capsys) -> None:
    gpu.main([*TINY, "--no-peer", "--out", str(tmp_path / "gpu.json")])
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [(row["model"], row["precision"]) for row in found["sampling"]] == [("tiny", "fp32"), ("tiny", "bf16")]
    assert [row["rows"] for row in found["steps"]] == [8, 16] and not found["left_out"]
    for row in found["sampling"]:
        assert row["sound"] and set(row["tokens_per_second"]) == {"modules", "graphs"}
    assert found["sampling"][0]["largest_error"]["graphs"] < 1e-5
    for row in found["steps"]:
        stages = row["seconds"]
        assert all(
            len(stages[stage]["wall"]["times"]) == 2
            for stage in ("sampling", "sampling_by_modules", "reference", "update", "step")
        )
        assert 0 < row["share_of_peak"]["step"] < 1 and row["peak_mb"] > 0
    printed = capsys.readouterr().out
    assert printed.count("sampling tiny") == 2 and printed.count("step tiny") == 2


def test_the_peer_s_ways_stand_beside(gpu, tmp_path) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    gpu.main([*TINY, "--budget", "0.001", "--out", str(tmp_path / "none.json")])
    assert len(json.loads((tmp_path / "none.json").read_text())["left_out"]) == 4
    row = gpu.sampling_cell(gpu.Bench(gpu.arguments(TINY), tmp_path), "tiny", "fp32", 8)
    assert set(row["seconds"]) == {"modules", "graphs", "generate", "static"} and not row["notes"]
    assert set(row["ratio"]["static over graphs"]["device"]) == {"medians", "minima", "pairs"}


def test_operations_are_those_of_the_weights(gpu) -> None:
    """By hand: 12·width² weights a layer and the head."""
    layers, _, width = gpu.MODELS["tiny"]
    weights = layers * 12 * width**2 + width * 108
    found = gpu.operations("tiny", 108, rows=8, tokens=8)
    pairs = 8 * 9 / 2  # positions that look, and are looked at
    assert found["sampling"] == pytest.approx(8 * (2 * weights * 8 + layers * 4 * width * pairs) / 1e12)
    assert sum(found.values()) == pytest.approx(5 * found["sampling"]) and found["update"] == 3 * found["reference"]


@pytest.mark.parametrize(("name", "millions"), [("6.4M", 6.4), ("21M", 21.4), ("51M", 50.5)])
def test_models_are_as_large_as_they_are_called(gpu, name, millions) -> None:
    layers, heads, width = gpu.MODELS[name]
    with torch.device("meta"):
        model = GPT(GPTShape(108, 65, width, layers, heads))
    assert model.n_parameters / 1e6 == pytest.approx(millions, abs=0.06)


def test_without_a_gpu_it_says_what_to_do(gpu) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match="torch sees no CUDA device; --device cpu --tiny"):
        gpu.main([])
