"""The named oracles as a table, for lists and documentation; nothing is built for it."""

from __future__ import annotations

import inspect
from typing import Any

from breadth.tasks.oracles import ORACLES
from breadth.tasks.oracles.guacamol import GOALS
from breadth.tasks.oracles.properties import PROPERTIES

_SUMMARIES = {
    "qed": "drug-likeness, 0 to 1",
    "jnk3": "predicted JNK3 inhibition, 0 to 1",
    "gsk3b": "predicted GSK3β inhibition, 0 to 1",
    "activity": "predicted activity of a table or forest of yours, 0 to 1",
    "sa": "synthetic accessibility, 1 (easy) to 10",
    "atoms": "how many atoms of an element",
    "similarity": "Tanimoto similarity to a molecule",
    "rediscovery": "Tanimoto similarity to a molecule, by counts",
    "median": "geometric mean of similarities to several molecules",
    "isomer": "closeness to a molecular formula, 0 to 1",
    "command": "what a program answers",
    "components": "several oracles joined",
    **PROPERTIES,
    **{name: f"GuacaMol's goal {name.replace('_', ' ')}, 0 to 1" for name in GOALS},
}


def oracle_rows() -> list[dict[str, Any]]:
    """Return name, settings and one line of each named oracle.

    Examples
    --------
    >>> [row["settings"] for row in oracle_rows() if row["name"] == "similarity"]
    [['target', 'fingerprint']]
    """
    return [
        {"name": name, "settings": list(inspect.signature(make).parameters), "summary": _SUMMARIES[name]}
        for name, make in ORACLES.items()
    ]
