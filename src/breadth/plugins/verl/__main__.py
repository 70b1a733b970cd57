"""``python -m breadth.plugins.verl darling floor=0.2``: the arguments for verl's command line, one a line, ready for ``$(…)``."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

from breadth.plugins.verl.command_line import overrides, yours_to_say
from breadth.plugins.verl.settings import PREFIX, Settings, objective_of
from breadth.plugins.verl.versions import check_verl

USAGE = """usage: python -m breadth.plugins.verl OBJECTIVE [SETTING=VALUE ...]

Prints what makes verl train an objective of breadth, one argument a line, for python -m verl.trainer.main_ppo:
  python -m verl.trainer.main_ppo $(python -m breadth.plugins.verl darling floor=0.2) ...
What only you can say (which answers count as the same) is named on the error stream."""


def main(arguments: list[str]) -> int:
    """Print the overrides; return 0, or 2 with the reason on the error stream."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    name, *given = arguments
    try:
        if find_spec("verl") is not None:  # the lines may be wanted on a machine without it
            check_verl()
        settings = dict(_setting(text) for text in given)
        lines = overrides(name, **settings)
        yours = yours_to_say(objective_of(PREFIX + name, Settings(settings=settings)))
    except (ImportError, ValueError, TypeError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(lines))
    if yours:
        print("and, filled in by you:\n" + "\n".join(yours), file=sys.stderr)
    return 0


def _setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"expected SETTING=VALUE, got {text!r}\n{USAGE}")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, {"None": None, "True": True, "False": False}.get(value, value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
