"""An oracle in a process of its own, asked over its standard input: ``python -m breadth.tasks.oracles.worker SPEC``.

SPEC is JSON with ``oracle`` and its settings. Whatever the oracle prints goes to standard error, so that answers stay clean.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from breadth.dotted import load_dotted
from breadth.tasks.oracles.command import CommandOracle


def in_workers(
    oracle: str | Callable[..., Any], settings: Mapping[str, Any], *, workers: int, timeout: float
) -> CommandOracle:
    """Return the same oracle, run in ``workers`` processes with ``timeout`` seconds a molecule.

    Raises
    ------
    ValueError
        A function that another process cannot import by name, settings that are no plain values.
    """
    spec = {"oracle": oracle if isinstance(oracle, str) else _dotted(oracle), **settings}
    try:
        text = json.dumps(spec)
    except TypeError as error:
        raise ValueError(
            f"workers: the oracle's settings must be plain values to reach another process ({error})"
        ) from error
    return CommandOracle(
        [sys.executable, "-m", "breadth.tasks.oracles.worker", text],
        timeout=timeout,
        workers=workers,
        environment={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def _dotted(function: Callable[..., Any]) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    found: Any = None
    if module and name and module != "__main__":
        found = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
    if found is not function:
        raise ValueError(
            f"workers: {name or function!r} cannot be imported by name in another process: put it into a module and name it "
            "'module:function', or leave workers and timeout out"
        )
    return f"{module}:{name}"


def import_function(dotted: str) -> Callable[..., Any]:
    """Return the function that ``"module:function"`` names.

    Raises
    ------
    ValueError
        No such module or attribute, or it cannot be called.
    """
    return load_dotted(
        dotted,
        malformed="oracle {name!r}: expected 'module:function'",
        missing="oracle {name!r}: expected 'module:function' that can be imported, got an error: {error}",
        uncallable="oracle {name!r}: expected a function, got {kind}",
    )


def serve(spec: Mapping[str, Any]) -> None:
    """Answer each line of standard input with one line: a number, or ``nan`` after a reason on standard error."""
    from breadth.tasks.oracles import find_oracle
    from breadth.tasks.scoring import score_batch

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # prints of the oracle, and of programs it starts
    settings = dict(spec)
    oracle = find_oracle(settings.pop("oracle"), **settings).score
    for line in sys.stdin:
        scored = score_batch(lambda texts, _: oracle(texts), [line.rstrip("\n")])
        value = float(scored.values[0])
        if math.isnan(value):
            sys.stderr.write("; ".join(scored.failures) + "\n")
        answers.write(f"{value!r}\n")
        answers.flush()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
