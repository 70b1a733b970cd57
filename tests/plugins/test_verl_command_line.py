"""The lines for verl's command line, and what is said where a configuration trains something else."""

import pytest

import breadth
from breadth import catalogue
from breadth.objectives.support import support
from breadth.plugins.verl import check_verl, overrides
from breadth.plugins.verl.__main__ import main
from breadth.plugins.verl.command_line import ACTOR, actor_settings, differences

CARRIED = [
    n for n in catalogue.entries("objective") if support(breadth.objective(n))["verl"] in ("estimator", "trainer")
]


def nested(settings):
    """Return {'a.b': 1} as {'a': {'b': 1}}."""
    out = {}
    for path, value in settings.items():
        place = out
        *parents, last = path.split(".")
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = value
    return out


@pytest.mark.parametrize("name", CARRIED)
def test_every_objective_that_verl_carries_has_its_lines_and_they_are_its_own(name):
    made = breadth.objective(name)
    lines = overrides(name)
    assert lines[0] == f"algorithm.adv_estimator=breadth_{name}"
    assert ("trainer.v1.trainer_mode=breadth_sync" in lines) == (support(made)["verl"] == "trainer")
    assert differences(nested(actor_settings(made)), made) == []
    assert len(differences({}, made)) >= 2


def test_lines_of_darling_as_in_its_chat_runs():
    assert overrides("darling", beta=0.001, dual_clip=3.0) == [
        "algorithm.adv_estimator=breadth_darling",
        "trainer.v1.trainer_mode=breadth_sync",
        "algorithm.use_kl_in_reward=false",
        "+algorithm.breadth.settings.beta=0.001",
        "+algorithm.breadth.settings.dual_clip=3.0",
        ACTOR + "policy_loss.loss_mode=vanilla",
        ACTOR + "loss_agg_mode=token-mean",
        ACTOR + "entropy_coeff=0",
        ACTOR + "clip_ratio_low=0.2",
        ACTOR + "clip_ratio_high=0.2",
        ACTOR + "clip_ratio_c=3.0",
        ACTOR + "use_kl_loss=true",
        ACTOR + "kl_loss_coef=0.001",
        ACTOR + "kl_loss_type=low_var_kl",
    ]


def test_a_reference_in_the_advantage_is_computed_without_a_penalty():
    lines = overrides("rlhf")
    assert ACTOR + "use_kl_loss=true" in lines and ACTOR + "kl_loss_coef=0" in lines


def test_a_constant_denominator():
    lines = overrides("dr_grpo", max_tokens=1024)
    assert ACTOR + "loss_agg_mode=seq-mean-token-sum-norm" in lines and ACTOR + "loss_scale_factor=1024" in lines


def test_differences_say_where_what_and_what_to_write():
    made = breadth.objective("darling")
    config = nested(
        {**actor_settings(made), ACTOR + "loss_agg_mode": "seq-mean-token-mean", ACTOR + "entropy_coeff": 0.01}
    )
    assert differences(config, made) == [
        "actor_rollout_ref.actor.loss_agg_mode is seq-mean-token-mean, darling has token-mean: "
        "actor_rollout_ref.actor.loss_agg_mode=token-mean",
        "actor_rollout_ref.actor.entropy_coeff is 0.01, darling has 0: actor_rollout_ref.actor.entropy_coeff=0",
    ]


def test_a_penalty_of_weight_zero_is_no_difference():
    made = breadth.objective("darling")
    config = nested({**actor_settings(made), ACTOR + "use_kl_loss": True, ACTOR + "kl_loss_coef": 0.0})
    assert differences(config, made) == []
    config["actor_rollout_ref"]["actor"]["kl_loss_coef"] = 0.01
    assert len(differences(config, made)) == 1


def test_the_command(capsys):
    assert main(["darling", "floor=0.2"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == overrides("darling", floor=0.2)  # as $(…) hands it to a shell
    assert said.err.startswith(
        "and, filled in by you:\n+algorithm.breadth.partition=classifier    # or rouge1, {backend: canonical"
    )
    assert main(["gvpo"]) == 2
    assert "objective 'gvpo' does not run in verl" in capsys.readouterr().err
    assert main(["darlin"]) == 2
    assert "did you mean 'darling'" in capsys.readouterr().err
    assert main(["darling", "floor"]) == 2
    assert "expected SETTING=VALUE, got 'floor'" in capsys.readouterr().err
    assert main([]) == 2


def test_the_command_beside_a_verl_that_was_not_tested(monkeypatch, capsys):
    monkeypatch.setattr("breadth.plugins.verl.__main__.find_spec", lambda name: name)
    monkeypatch.setattr("breadth.plugins.tested_versions.version", lambda name: "0.8.0")
    assert main(["darling"]) == 2
    assert (
        "verl 0.8.0 is installed, and breadth's part in it was tested with verl>=0.9,<0.10" in capsys.readouterr().err
    )


def test_versions():
    for found in ("0.8.2", "0.10.0", "1.0"):
        with pytest.raises(
            ImportError,
            match=rf"verl {found} is installed, and breadth's part in it was tested with verl>=0.9,<0.10: .*pip",
        ):
            check_verl(found)
    assert check_verl("0.9.1") == "0.9.1"
