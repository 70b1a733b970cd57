"""The process that asks math-verify: ``python -m breadth.tasks.math_worker``; one JSON line in, one out. See :mod:`breadth.tasks.math_judge`.

It may hang, grow or crash on hostile input; it holds nothing that would be missed.
"""

from __future__ import annotations

import json
import resource
import sys

MEMORY = 4 << 30  # bytes of address space


def main() -> None:
    """Answer until the input ends: ``{"gold": [..], "answer": ".."}`` gives ``{"same": bool}`` or ``{"error": ".."}``."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    from math_verify import parse, verify

    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            # the parent has the clock; the library's own would need signals
            answer = parse(question["answer"], parsing_timeout=None)
            same = any(
                verify(parse(f"${gold}$", parsing_timeout=None), answer, timeout_seconds=None)
                for gold in question["gold"]
            )
            said = {"same": bool(same)}
        except Exception as error:  # whatever the library raises is this item's failure, and the parent counts it
            said = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    main()
