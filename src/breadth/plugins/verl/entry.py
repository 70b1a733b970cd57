"""What verl loads when it is imported: our names in its registries, as soon as the registries are there.

verl loads entry points in the middle of its own import and hides what they raise. So nothing of verl is imported here; the two modules
that hold its registries are watched instead, and a registration that fails stops their import, for all to see.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from breadth.plugins.verl.versions import check_verl

LOG = logging.getLogger("breadth.plugins.verl")
ALGORITHMS, TRAINERS_OF_VERL = "verl.trainer.ppo.core_algos", "verl.trainer.ppo.v1"


def register_algorithms() -> list[str]:
    """Register an advantage estimator for every objective of the catalogue and our policy losses; return their names.

    Objectives that verl cannot carry have a name too, and an estimator that says why.
    """
    from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss

    from breadth.catalogue import entries
    from breadth.plugins.verl.estimators import estimator_of
    from breadth.plugins.verl.policy_losses import LOSSES, policy_loss_of
    from breadth.plugins.verl.settings import PREFIX

    names = []
    for name in entries("objective"):
        register_adv_est(PREFIX + name)(estimator_of(name))
        names.append(PREFIX + name)
    for name in LOSSES:
        register_policy_loss(name)(policy_loss_of(name))
        names.append(name)
    return names


def _register_trainers() -> list[str]:
    from breadth.plugins.verl.trainer import register_trainers

    return register_trainers()


class _Watcher(importlib.abc.MetaPathFinder):
    """Calls a function right after a module was imported for the first time."""

    def __init__(self, waiting: dict[str, Callable[[], Any]]) -> None:
        self.waiting = waiting

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        call = self.waiting.pop(name, None)
        if call is None:
            return None
        spec = importlib.util.find_spec(name)  # by the other finders: this one has let go of the name
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_then_call(module: ModuleType) -> None:
            try:
                run(module)
            except BaseException:
                self.waiting[name] = call  # whoever tries again, with what was missing installed, finds us waiting
                raise
            call()

        spec.loader.exec_module = run_then_call  # type: ignore[method-assign]
        return spec


def load() -> bool:
    """Register now what verl has already imported, and the rest when it is; False with an error in the log if this cannot be done."""
    try:
        check_verl()
    except ImportError as error:
        LOG.error("objectives of breadth are not registered: %s", error)
        return False
    waiting = {}
    for module, call in ((ALGORITHMS, register_algorithms), (TRAINERS_OF_VERL, _register_trainers)):
        if module in sys.modules:
            call()
        else:
            waiting[module] = call
    if waiting:
        sys.meta_path.insert(0, _Watcher(waiting))
    return True


LOADED = load()
