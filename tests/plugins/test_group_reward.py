"""The group reward in one process, without TRL: what it is given, what it returns, what it refuses."""

from __future__ import annotations

import functools

import pytest
import torch

from breadth import objective, partition
from breadth.plugins.trl import GroupReward, add_uid
from breadth.plugins.trl.regroup import regroup
from breadth.plugins.trl.versions import check_trl
from breadth.rewards.diversity import shape_by_diversity


def words(texts, *, group=None, prompts=None):
    return [len(text.split()) for text in texts]


def fixed(values):
    return lambda completions, **columns: list(values)


TEXTS = ["a", "b", "c d", "e f g"]


def test_darling_by_hand_and_the_order_of_rows_inside_a_group_does_not_matter():
    reward = GroupReward(fixed([1.0, 0.5, 1.0, 0.0]), shaping=["darling"], partition=words)
    assert reward(prompts=["p"] * 4, completions=TEXTS, uid=[3] * 4) == pytest.approx([2 / 3, 1 / 3, 1.0, 0.0])
    turned = GroupReward(fixed([0.0, 1.0, 0.5, 1.0]), shaping=["darling"], partition=words)
    assert turned(prompts=["p"] * 4, completions=TEXTS[::-1], uid=[3] * 4) == pytest.approx([0.0, 1.0, 1 / 3, 2 / 3])


def test_groups_are_runs_of_equal_uids_and_the_same_prompt_may_come_twice():
    reward = GroupReward(fixed([1.0] * 4), shaping="darling", partition=words)
    assert reward(prompts=["p"] * 4, completions=["a", "b", "a", "b c"], uid=[0, 0, 1, 1]) == pytest.approx(
        [0.1, 0.1, 1.0, 1.0]
    )
    assert reward(prompts=["p"] * 4, completions=["a", "b", "c d", "a"], uid=[0, 0, 0, 0]) == pytest.approx(
        [1 / 3, 1 / 3, 1.0, 1 / 3]
    )


def test_names_objectives_pieces_and_functions_shape_alike():
    pieces = objective("darling", floor=0.2).shape_rewards[0]
    partial = functools.partial(shape_by_diversity, floor=0.2)
    partial.__name__ = "mine"
    found = [
        GroupReward(fixed([1.0] * 4), shaping=[item], partition=words)(completions=TEXTS, uid=[0] * 4)
        for item in (objective("darling", floor=0.2), pieces, partial)
    ]
    assert found[0] == found[1] == found[2]


def test_shapings_run_in_order_and_read_lengths():
    reward = GroupReward(
        fixed([1.0] * 4), shaping=["darling", lambda values, group, *, length: values - length], partition=words
    )
    got = reward(completions=TEXTS, completion_ids=[[1], [1], [1, 2], [1, 2, 3]], uid=[0] * 4)
    assert got == pytest.approx([2 / 3 - 1, 2 / 3 - 1, 1 - 2, 1 - 3])


@pytest.mark.parametrize("value", [None, float("nan")])
def test_an_unscored_answer_has_no_part_in_its_group(value):
    reward = GroupReward(fixed([value, 1.0, 1.0, 1.0]), shaping="darling", partition=words)
    got = reward(completions=["a", "b", "c d", "e f"], uid=[0] * 4)
    assert got[0] is None and got[1:] == pytest.approx([1.0, 0.5, 0.5])


def test_conversations_and_a_shipped_partition():
    reward = GroupReward(fixed([1.0, 1.0]), shaping="darling", partition=partition("rouge1"))
    turns = [[{"role": "assistant", "content": "the same words"}]] * 2
    assert reward(prompts=[[{"role": "user", "content": "say"}]] * 2, completions=turns, uid=[0, 0]) == pytest.approx(
        [0.1, 0.1]
    )


def test_raw_quality_goes_into_the_log():
    metrics, extra = {}, {}
    reward = GroupReward(fixed([1.0, 0.0, 1.0, None]), shaping="darling", partition=words)
    reward(completions=TEXTS, uid=[0] * 4, log_metric=metrics.__setitem__, log_extra=extra.__setitem__)
    assert metrics["quality/mean"] == pytest.approx(2 / 3) and metrics["quality/unscored_share"] == 0.25
    assert extra["quality"] == [1.0, 0.0, 1.0, None] and "darling/diversity_factor" in metrics
    assert reward.__name__ == "darling_<lambda>"


def test_what_is_wrong_is_said():
    good = GroupReward(fixed([1.0] * 4), shaping="darling", partition=words)
    with pytest.raises(ValueError, match=r"the data set has no column 'uid'.*train on add_uid\(dataset\)"):
        good(completions=TEXTS)
    with pytest.raises(ValueError, match="returned 3 values for 4 completions: expected one each, in order"):
        GroupReward(fixed([1.0] * 3))(completions=TEXTS, uid=[0] * 4)
    with pytest.raises(ValueError, match="1 infinite values from the quality function, first for completion 2"):
        GroupReward(fixed([1.0, 1.0, float("inf"), 1.0]))(completions=TEXTS, uid=[0] * 4)
    with pytest.raises(RuntimeError, match="3 of 4 answers could not be scored .limit 50%, max_unscored_share"):
        GroupReward(fixed([None, None, None, 1.0]))(completions=TEXTS, uid=[0] * 4)
    with pytest.raises(ValueError, match="shaping 'darling' needs kind: pass partition=breadth.partition"):
        GroupReward(fixed([1.0]), shaping="darling")
    with pytest.raises(
        ValueError, match="'unlikeliness' needs seq_logp, which a reward function does not see.*BreadthGRPOTrainer"
    ):
        GroupReward(fixed([1.0]), shaping="unlikeliness")
    with pytest.raises(ValueError, match="'dr_grpo' does not shape rewards before the baseline"):
        GroupReward(fixed([1.0]), shaping="dr_grpo")
    with pytest.raises(ValueError, match="'reinvent_filter' remembers earlier steps"):
        GroupReward(fixed([1.0]), shaping="reinvent_filter")
    with pytest.raises(TypeError, match="shaping: expected names of objectives.*got int"):
        GroupReward(fixed([1.0]), shaping=[3])
    with pytest.raises(TypeError, match="quality: expected a function"):
        GroupReward(1.0)
    with pytest.raises(ValueError, match="partition: expected 4 classes for 4 answers"):
        GroupReward(fixed([1.0] * 4), shaping="darling", partition=lambda texts, **k: [0])(
            completions=TEXTS, uid=[0] * 4
        )


def test_a_uid_column_numbers_the_rows():
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'breadth[trl]'")
    data = datasets.Dataset.from_dict({"prompt": ["a", "b"]})
    assert add_uid(data)["uid"] == [0, 1]
    with pytest.raises(ValueError, match="has a column 'uid' already"):
        add_uid(add_uid(data))
    assert [row["uid"] for row in add_uid(data.to_iterable_dataset())] == [0, 1]


@pytest.mark.parametrize("version", ["0.19.1", "1.2.0", "1.15.3", "1.99.0", "2.0.0"])
def test_an_untested_trl_is_refused(version):
    with pytest.raises(
        ImportError, match=rf"TRL {version} is installed.*was tested with trl>=.*pip install 'breadth\[trl\]'"
    ):
        check_trl(version)


def test_regrouping_keeps_every_row_and_makes_groups_whole():
    g = torch.Generator().manual_seed(0)
    rows = torch.randperm(24, generator=g)
    batches = [
        {"g": part // 4, "x": part, "one": torch.tensor(7.0), "t": part.tolist(), "none": None}
        for part in rows.split(8)
    ]
    found = regroup(batches, "g", 4)
    assert sorted(torch.cat([b["x"] for b in found]).tolist()) == list(range(24))
    for batch in found:
        assert (
            (batch["x"] // 4).tolist() == batch["g"].tolist()
            and batch["t"] == batch["x"].tolist()
            and batch["none"] is None
        )
        assert torch.unique(batch["g"], return_counts=True)[1].tolist() == [4, 4] and float(batch["one"]) == 7.0
    with pytest.raises(ValueError, match="expected 3 members of each group on this process"):
        regroup(batches, "g", 3)
