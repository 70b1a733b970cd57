"""Settings of a run that takes a second: for tests that need a real run, not a good one."""

from __future__ import annotations

SMALL = """
study = "small"
[task]
kind = "circle"
vertices = 8
edges = 4
[model]
n_layer = 1
n_head = 2
n_embd = 32
[prior]
steps = 150
batch_size = 64
checkpoint_every = 50
[objective]
kind = "darling"
[train]
steps = 12
group_size = 32
[measure]
every = 4
sets = 2
samples_per_set = 20
"""

SMALL_STUDY = SMALL.replace('study = "small"', 'name = "small"').replace(
    '[objective]\nkind = "darling"',
    '[study]\nseeds = [0, 1]\nat_quality = [0.1]\nn_boot = 100\n[objectives.dr_grpo]\n[objectives.qempo]\ninv_lambda = 0.03\n',
)
