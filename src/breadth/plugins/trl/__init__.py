"""TRL: an exact group reward, GRPO and DPO trainers with our objectives, and a callback that keeps our ledger.

Names are imported when they are used; :class:`GroupReward` and :func:`add_uid` need no TRL.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "GroupReward": "group_reward",
    "add_uid": "group_reward",
    "BreadthGRPOConfig": "grpo",
    "BreadthGRPOTrainer": "grpo",
    "BreadthDPOConfig": "dpo",
    "BreadthDPOTrainer": "dpo",
    "build_divpo_pairs": "divpo",
    "sft_loss": "sft",
    "BreadthCallback": "callback",
    "RunRecord": "record",
    "train_with_trl": "from_settings",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_NAMES)}")
    return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
