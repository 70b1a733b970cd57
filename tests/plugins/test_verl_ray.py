"""A local Ray and the real TransferQueue: groups scattered over a batch, shaped on the driver, written back for the actor."""

import pytest
import torch

import breadth
from breadth.plugins.verl import overrides

pytest.importorskip("verl.trainer.ppo.core_algos", reason="verl is not installed (pip install 'breadth[verl]')")
tq = pytest.importorskip("transfer_queue", reason="TransferQueue is missing (pip install 'breadth[verl]')")
pytestmark = pytest.mark.nightly

WORDS = ["<pad>", "say", "a", "bird", "robin", "wren", "red", "owl"]
ANSWERS = ["robin", "robin", "wren red owl", "owl"]
KINDS = [0, 0, 1, 2]


class Tokenizer:
    pad_token_id = 0
    eos_token_id = 0

    def batch_decode(self, ids, skip_special_tokens):
        return [" ".join(WORDS[i] for i in row if i or not skip_special_tokens) for row in ids]


@pytest.fixture(scope="module")
def queue():
    import ray
    from test_verl_registered import composed

    config = composed(
        *overrides("darling"),
        "+algorithm.breadth.partition={backend: canonical, key: words}",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    )
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tq.init(config.transfer_queue)
    yield config
    tq.close()
    ray.shutdown()


def ids(text):
    return torch.tensor([WORDS.index(word) for word in text.split()])


def samples(order):
    """Rows of two prompts, four sessions each, one session in two outputs, one row of verl's padding; by key."""
    rows, tags = {}, {}
    for uid in ("p", "q"):
        for session, text in enumerate(ANSWERS):
            outputs = [text, text] if (uid, session) == ("q", 3) else [text]
            for i, said in enumerate(outputs):
                rows[f"{uid}_{session}_{i}"] = (uid, ids(said), 1.0 if session < 3 or uid == "q" else 0.0)
                tags[f"{uid}_{session}_{i}"] = {}
    rows["pad1_0_0"], tags["pad1_0_0"] = ("pad1", torch.tensor([0]), 0.0), {"is_padding": True}
    keys = sorted(rows)
    keys = [keys[i] for i in torch.randperm(len(keys), generator=torch.Generator().manual_seed(order))]
    return keys, {key: rows[key] for key in keys}, [tags[key] for key in keys]


def test_whole_groups_through_the_queue(queue):
    from transfer_queue import KVBatchMeta
    from verl.trainer.ppo.v1 import get_trainer_cls
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict

    trainer = get_trainer_cls("breadth_sync")(config=queue)
    trainer.tokenizer = Tokenizer()
    keys, rows, tags = samples(3)
    fields = []
    for key in keys:
        uid, answer, reward = rows[key]
        mask = torch.zeros_like(answer) if uid == "pad1" else torch.ones_like(answer)
        scores = torch.zeros(len(answer))
        scores[-1] = reward
        fields.append(
            {
                "uid": uid, "prompts": ids("say a bird"), "responses": answer, "response_mask": mask, "rm_scores": scores,
                "old_log_probs": -torch.ones(len(answer)), "rollout_log_probs": -torch.ones(len(answer)), "extra_fields": {},
            }
        )  # fmt: skip
    tq.kv_batch_put(keys=keys, partition_id="train", fields=list_of_dict_to_tensordict(fields), tags=tags)
    metrics = {}
    batch = KVBatchMeta(partition_id="train", keys=keys, tags=tags)
    batch = trainer._compute_advantage(batch, metrics)
    found = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=["advantages", "returns", "rm_scores"])

    members = [key for key in keys if not key.startswith("pad") and key != "q_3_0"]  # the last output of a session
    expected = breadth.objective("darling").advantage(
        reward=torch.tensor([rows[key][2] for key in members]),
        group=torch.tensor([0 if key.startswith("p") else 1 for key in members]),
        kind=torch.tensor([KINDS[int(key.split("_")[1])] for key in members]),
    )
    wanted = dict(zip(members, expected.tolist(), strict=True)) | {"pad1_0_0": 0.0}
    wanted["q_3_0"] = wanted["q_3_1"]
    error = max(
        float((row - wanted[key]).abs().max()) for key, row in zip(keys, found["advantages"].unbind(), strict=True)
    )
    print(f"\nlargest difference to the objective itself: {error:.1e}; logged: {metrics}")
    assert error < 1e-6
    assert max(abs(value) for value in wanted.values()) > 0.1
    assert [float(row.sum()) for row in found["rm_scores"].unbind()] == [
        rows[key][2] for key in keys
    ]  # raw quality stays
    assert metrics["breadth/n_unscored"] == 0 and 0 < metrics["breadth/diversity_factor"] < 1


def two_groups(partition, **more):
    """Put two groups of two into the queue, with the fields that every batch of verl's has, and return the batch."""
    from transfer_queue import KVBatchMeta
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict

    keys = ["p_0_0", "q_0_0", "p_1_0", "q_1_0"]
    fields = []
    for i, key in enumerate(keys):
        answer = ids(["robin red", "owl", "wren", "a red robin"][i])
        scores = torch.zeros(len(answer))
        scores[-1] = [1.0, 0.0, 1.0, 1.0][i]
        field = {
            "uid": key[0], "prompts": ids("say a bird"), "responses": answer, "response_mask": torch.ones_like(answer),
            "rm_scores": scores, "old_log_probs": -0.5 * torch.arange(1.0, len(answer) + 1),
        }  # fmt: skip
        fields.append({**field, **{name: value(i, answer) for name, value in more.items()}})
    tq.kv_batch_put(keys=keys, partition_id=partition, fields=list_of_dict_to_tensordict(fields), tags=[{}] * 4)
    return KVBatchMeta(partition_id=partition, keys=keys, tags=[{}] * 4)


def through(batch, *lines):
    from test_verl_registered import composed
    from verl.trainer.ppo.v1 import get_trainer_cls

    trainer = get_trainer_cls("breadth_sync")(config=composed(*lines))
    trainer.tokenizer = Tokenizer()
    trainer._compute_advantage(batch, {})
    found = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
    return torch.stack([row[0] for row in found["advantages"].unbind()])


GROUP, REWARD = torch.tensor([0, 1, 0, 1]), torch.tensor([1.0, 0.0, 1.0, 1.0])


def test_several_rewards_from_the_reward_function(queue):
    several = [[1.0, 0.2], [0.0, 0.9], [1.0, 0.4], [1.0, 0.1]]
    batch = two_groups(
        "several",
        extra_fields=lambda i, _: {"reward_extra_info": dict(zip(("right", "short"), several[i], strict=True))},
    )
    found = through(batch, *overrides("vpo"), "+algorithm.breadth.reward_keys=[right,short]")
    expected = breadth.objective("vpo").advantage(reward=REWARD, group=GROUP, reward_vector=torch.tensor(several))
    assert (found - expected).abs().max() < 1e-6 and expected.abs().max() > 0.1


def test_log_probabilities_and_the_reference(queue):
    batch = two_groups("reference", ref_log_prob=lambda i, answer: -(0.3 + 0.1 * i) * torch.ones(len(answer)))
    found = through(batch, *overrides("qempo_kl"))
    length = torch.tensor([2, 1, 1, 3])
    expected = breadth.objective("qempo_kl").advantage(
        reward=REWARD, group=GROUP, correct=REWARD >= 1, length=length, seq_logp=-0.25 * length * (length + 1),
        seq_logp_ref=-torch.tensor([0.3, 0.4, 0.5, 0.6]) * length,
    )  # fmt: skip
    assert (found - expected).abs().max() < 1e-6 and expected.abs().max() > 0.1


def test_a_reference_that_verl_did_not_compute(queue):
    with pytest.raises(ValueError, match="verl's batch lacks ref_log_prob: actor_rollout_ref.actor.use_kl_loss=true"):
        through(two_groups("absent"), *overrides("qempo_kl"))


def test_every_process_of_a_cluster_knows_our_names(queue):
    import ray

    @ray.remote(num_cpus=0)  # the queue's own actors hold both processors
    def worker():
        from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn

        return get_adv_estimator_fn("breadth_qempo").__name__, get_policy_loss_fn("breadth_ppo_clip").__name__

    assert ray.get(worker.remote(), timeout=120) == ("breadth_qempo", "breadth_ppo_clip")
