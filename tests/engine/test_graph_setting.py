"""``engine.cuda_graphs``: refused where there is no GPU, and taken by training and measuring."""

from __future__ import annotations

import pytest
import torch

import breadth
from breadth.config import ConfigError, EngineSettings, RunSettings, build_settings
from breadth.config_checks import cross_checks
from breadth.engine.graph_sampling import GraphSampling
from breadth.engine.machine import Machine
from tests.engine.test_graph_sampling import OnTape
from tests.journeys.test_bad_input import small


def test_the_setting_is_refused_without_a_gpu():
    tables = {"task": {"kind": "circle"}, "objective": {"kind": "grpo"}}
    with pytest.raises(ConfigError, match="cuda_graphs needs a GPU, and engine.device = 'cpu'"):
        build_settings(RunSettings, tables | {"engine": {"cuda_graphs": True}}, where="here", checks=[cross_checks])
    found = build_settings(
        RunSettings, tables | {"engine": {"cuda_graphs": True, "device": "auto"}}, where="here", checks=[cross_checks]
    )
    assert found.engine.cuda_graphs and not EngineSettings().cuda_graphs
    assert Machine(EngineSettings()).graphs is None
    if not torch.cuda.is_available():
        with pytest.raises(
            ConfigError, match="expected a CUDA device, 'auto' found 'cpu': leave cuda_graphs out on this machine"
        ):
            Machine(found.engine)


def test_a_run_samples_trains_and_measures_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("BREADTH_CACHE", str(tmp_path / "cache"))
    tables, capture = small(train={"steps": 3}, measure={"every": 3}), OnTape()
    task = breadth.task("circle", vertices=8, edges=4)
    plain = breadth.train(task=task, objective="grpo", out=tmp_path / "plain", **tables)
    own = Machine.__init__

    def with_graphs(self, *args, **kwargs):
        own(self, *args, **kwargs)
        self.graphs = GraphSampling(capture)

    monkeypatch.setattr(Machine, "__init__", with_graphs)
    found = breadth.train(task=task, objective="grpo", out=tmp_path / "graphs", **tables)
    assert capture.captures == 2 and capture.replays > 10  # one to train, one to measure
    for a, b in zip(found.training(), plain.training(), strict=True):
        for name in ("reward", "loss", "grad_norm", "entropy", "length"):
            if name in a:
                assert a[name] == pytest.approx(b[name], abs=1e-4), name
