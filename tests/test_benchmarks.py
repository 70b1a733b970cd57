"""What the benchmark of molecule peers says and does before it times anything: its errors, its counts, the tokens it forces."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.benchmark_drivers import drivers


@pytest.fixture(scope="module")
def modules():
    """Return the driver and the module of the peers' process."""
    return tuple(drivers("molecule_peers", "peer_steps"))


def test_without_a_checkout_it_says_where_to_get_one(modules, tmp_path: Path) -> None:
    driver, _ = modules
    with pytest.raises(SystemExit, match=r"--reinvent4 expects a checkout \(git clone .*REINVENT4\); none was given"):
        driver.checked("reinvent4", None)
    with pytest.raises(SystemExit, match=r"--acegen expects .* has no acegen/models/lstm\.py"):
        driver.checked("acegen", tmp_path)


def test_a_folder_that_is_no_checkout_is_named(modules, tmp_path: Path) -> None:
    _, steps = modules
    with pytest.raises(SystemExit, match="there is no folder reinvent"):
        steps.bare(tmp_path, ["reinvent"])


def test_a_script_gives_its_functions_and_nothing_else_of_it_runs(modules, tmp_path: Path) -> None:
    _, steps = modules
    script = tmp_path / "script.py"
    script.write_text("import nowhere\nraise RuntimeError\ndef one(x):\n    return torch.tensor(x) + 1\n")
    assert steps.loss_of_script(script, ["one"])["one"](1) == 2
    with pytest.raises(SystemExit, match="has no functions one, two"):
        steps.loss_of_script(script, ["one", "two"])


def test_draws_give_the_tokens_of_the_texts_and_then_the_end(modules) -> None:
    _, steps = modules
    tokens, chances = steps.padded([[3, 1], [2]]), torch.ones(2, 4)
    assert tokens.tolist() == [[3, 1], [2, 0]]
    plain = torch.multinomial
    with steps.drawing(tokens):
        drawn = [torch.multinomial(chances, num_samples=1).flatten().tolist() for _ in range(3)]
    assert drawn == [[3, 2], [1, 0], [0, 0]]
    assert torch.multinomial is plain


def test_products_of_the_recurrent_network_are_those_of_its_weights(modules) -> None:
    driver, _ = modules
    network = torch.nn.LSTM(256, 512, num_layers=3), torch.nn.Linear(512, 40)
    weights = sum(p.numel() for part in network for name, p in part.named_parameters() if "weight" in name)
    assert driver.recurrent_work(40) == 2 * weights
