"""The second table of docs/fixed-points.md is recomputed: on-policy objectives, each followed to where it stands still."""

import re
from pathlib import Path

import pytest
import torch
from flow_points import (
    BINARY,
    GRADED,
    POINTS,
    REF,
    RIGHT,
    K,
    batch,
    distances,
    filled,
    groups,
    on_right,
    tilt,
    velocity,
)

from breadth import objective

PAGE = Path(__file__).parents[2] / "docs" / "fixed-points.md"


def test_the_page_has_these_distances():
    table = PAGE.read_text().partition("## On-policy")[2]
    rows = {
        name: (words, float(tv)) for name, words, tv in re.findall(r"^\| (.+?) \| (.+?) \| ([0-9.]+) \|$", table, re.M)
    }
    measured = distances()
    assert set(rows) == set(POINTS)
    for name, distance in measured.items():
        print(f"{name}: total variation {distance:.2e}")
        assert rows[name][0] == POINTS[name].words
        assert distance == pytest.approx(rows[name][1], abs=2e-4), name
        assert (distance < 1e-4) == ("missed" not in POINTS[name].words), name


def test_all_groups_are_there_with_their_probabilities():
    found, ways = groups()
    assert found.shape == (70, 4)
    assert float((ways * REF[found].sum(1).exp()).sum()) == pytest.approx(1.0, abs=1e-12)
    assert len(batch(True)["group"].unique()) == 70


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("rlhf", {"beta": 0.3}),
        ("qempo", {}),
        ("darling", {}),
        ("grpo", {}),
        ("vpo", {}),
        ("gspo", {}),
        ("dapo", {}),
        ("cispo", {}),
    ],
)
def test_the_loss_pulls_where_the_advantages_say(name, settings):
    """On-policy all token losses have the gradient of REINFORCE: what the flow writes out is what training does."""
    for binary in (False, True):
        method = objective(name, **settings)
        by_loss, written = (velocity(method, REF, binary=binary, by_loss=by) for by in (True, False))
        torch.testing.assert_close(by_loss, written, rtol=0, atol=1e-12)
        with pytest.raises(AssertionError):
            torch.testing.assert_close(-by_loss, written, rtol=0, atol=1e-4)


def test_the_laws_are_not_one_law():
    """Twins with a flipped sign, another temperature or without the reference lie far from what the rows name."""
    laws = [tilt(0.5, 0.5), tilt(-0.5, -0.5), tilt(0.5, 0.0), tilt(0.7, 0.5), filled(GRADED), on_right(REF), BINARY / 3]
    for i, a in enumerate(laws):
        assert float(a.sum()) == pytest.approx(1.0, abs=1e-9)
        assert all(float((a - b).abs().sum() / 2) > 0.03 for b in laws[:i])


def test_the_water_level_is_one_level():
    law, reward = filled(GRADED), GRADED
    level = (reward * (1 - law * 2 / 3))[law > 0]  # (G - 2)/(G - 1) of groups of 4
    torch.testing.assert_close(level, level[:1].expand_as(level), rtol=0, atol=1e-9)
    assert bool((reward[law == 0] < level[0]).all())


def test_right_answers_are_three_of_five():
    assert (int(RIGHT.sum()), K) == (3, 5)
