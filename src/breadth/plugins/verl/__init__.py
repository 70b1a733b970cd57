"""verl: our objectives as its advantage estimators, policy losses and trainers; installed beside verl they are simply there.

Names are imported when they are used; :func:`overrides` needs no verl.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "check_verl": "versions",
    "overrides": "command_line",
    "Settings": "settings",
    "estimator_of": "estimators",
    "policy_loss_of": "policy_losses",
}
__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_NAMES)}")
    return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
