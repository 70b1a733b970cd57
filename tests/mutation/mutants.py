"""Mutants of a source file: one small wrong change each, of the kinds that go unseen in this field.

A sign flipped, a mask dropped, the two sides of a ``where`` exchanged, a group's labels shifted, chosen and rejected swapped,
``ddof`` changed, a minimum for a maximum, a mean for a sum, an off-by-one. Checks of arguments (``if ...: raise``) are left
alone: they are not the arithmetic.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MASKS = ("mask", "keep", "scored", "correct", "parsable", "present", "weight", "known")
SWAPS = {
    "minimum": "maximum", "maximum": "minimum", "amin": "amax", "amax": "amin", "min": "max", "max": "min", "mean": "sum",
    "clamp_min": "clamp_max", "clamp_max": "clamp_min", "exp": "neg", "log": "exp", "cumsum": "clone",
}  # fmt: skip
OTHER_SIDE = {"chosen": "rejected", "rejected": "chosen", "ref_chosen": "ref_rejected", "ref_rejected": "ref_chosen"}


@dataclass(frozen=True)
class Mutant:
    """One wrong version of a file."""

    path: str  # relative to the repository
    line: int
    kind: str
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.path}:{self.line} {self.kind}: {self.before} -> {self.after}"


def mutants(root: Path, path: str) -> list[Mutant]:
    """Return all mutants of a file, in the order of its lines."""
    tree = ast.parse((root / path).read_text())
    found = []
    for holder, field, index in list(_places(tree)):
        node = getattr(holder, field) if index is None else getattr(holder, field)[index]
        before = ast.unparse(node)
        for kind, change in KINDS.items():
            new = change(copy.deepcopy(node))
            if new is None or ast.unparse(new) == before:
                continue
            _put(holder, field, index, new)
            source = ast.unparse(ast.fix_missing_locations(tree))
            _put(holder, field, index, node)
            found.append(Mutant(path, node.lineno, kind, before, ast.unparse(new), source))
    return found


def _put(holder: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(holder, field, node)
    else:
        getattr(holder, field)[index] = node


def choose(found: list[Mutant], n: int, seed: int = 0) -> list[Mutant]:
    """Return n of the mutants of a file: kinds in turn, so that the frequent ones do not crowd out the others."""
    chance = random.Random(f"{seed} {found[0].path if found else ''}")
    by_kind: dict[str, list[Mutant]] = {}
    for mutant in found:
        by_kind.setdefault(mutant.kind, []).append(mutant)
    kinds = sorted(by_kind)
    chance.shuffle(kinds)
    for members in by_kind.values():
        chance.shuffle(members)
    out: list[Mutant] = []
    while len(out) < n and any(by_kind.values()):
        for kind in kinds:
            if by_kind[kind] and len(out) < n:
                out.append(by_kind[kind].pop())
    return sorted(out, key=lambda m: (m.line, m.kind, m.after))


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Yield every expression inside a function's body, but not in checks, annotations, defaults, or text."""

    def walk(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
        if isinstance(node, ast.If) and all(isinstance(s, ast.Raise) for s in node.body):
            for i, child in enumerate(node.orelse):
                yield from step(node, "orelse", i, child)
            return
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "args") and isinstance(
                node, ast.FunctionDef | ast.AnnAssign | ast.arg
            ):
                continue
            if isinstance(value, list):
                for i, child in enumerate(value):
                    if isinstance(child, ast.AST):
                        yield from step(node, field, i, child)
            elif isinstance(value, ast.AST):
                yield from step(node, field, None, value)

    def step(
        holder: ast.AST, field: str, index: int | None, child: ast.AST
    ) -> Iterator[tuple[ast.AST, str, int | None]]:
        if isinstance(child, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            return
        if isinstance(child, ast.Call) and ast.unparse(child.func).endswith(("zeros_like", "ones_like", "full_like", "len")):
            return  # of what is given the shape alone counts
        if isinstance(child, ast.expr):
            yield holder, field, index
        yield from walk(child)

    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and not function.name.startswith(("check", "_check", "describe")):
            for i, statement in enumerate(function.body):
                yield from step(function, "body", i, statement)


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple | ast.Dict) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _sign(node: ast.AST) -> ast.AST | None:
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add | ast.Sub)
        and not (_text(node.left) or _text(node.right))
    ):
        node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        return node
    return (
        node.operand
        if isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and not isinstance(node.operand, ast.Constant)
        else None
    )


def _scale(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        node.op = ast.Mult()
        return node
    return None


def _off_by_one(node: ast.AST) -> ast.AST | None:
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Add | ast.Sub)
        and isinstance(node.right, ast.Constant)
        and node.right.value == 1
    ):
        return node.left
    return None


def _direction(node: ast.AST) -> ast.AST | None:
    turned = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in turned:
        node.ops = [turned[type(node.ops[0])]()]
        return node
    return None


def _mask_dropped(node: ast.AST) -> ast.AST | None:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("masked_fill", "nan_to_num")
    ):
        return node.func.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.Mult) and _is_mask(node.right):
        return node.left
    return node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert) else None


def _is_mask(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Name) and n.id in MASKS for n in ast.walk(node))


def _sides(node: ast.AST) -> ast.AST | None:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "where"
        and len(node.args) == 3
    ):
        node.args[1], node.args[2] = node.args[2], node.args[1]
        return node
    return None


def _group_shifted(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and node.slice.id == "index":
        return ast.copy_location(
            ast.Call(ast.Attribute(node, "roll", ast.Load()), [ast.Constant(1), ast.Constant(0)], []), node
        )
    if isinstance(node, ast.Call):
        for holder in (*node.args, *node.keywords):
            value = holder.value if isinstance(holder, ast.keyword) else holder
            if isinstance(value, ast.Name) and value.id == "group":
                shifted = ast.Call(ast.Attribute(value, "roll", ast.Load()), [ast.Constant(1), ast.Constant(0)], [])
                if isinstance(holder, ast.keyword):
                    holder.value = shifted
                else:
                    node.args[node.args.index(holder)] = shifted
                return node
    return None


def _pair_swapped(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Name) and node.id in OTHER_SIDE and isinstance(node.ctx, ast.Load):
        node.id = OTHER_SIDE[node.id]
        return node
    return None


def _ddof(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Call):
        for word in node.keywords:
            if word.arg in ("ddof", "correction", "unbiased"):
                word.value = ast.BinOp(ast.Constant(1), ast.Sub(), word.value)
                return node
    return None


def _other_reduction(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SWAPS:
        if node.func.attr in ("exp", "log", "cumsum") and node.args and not isinstance(node.func.value, ast.Name):
            return None
        node.func.attr = SWAPS[node.func.attr]
        return node
    return None


KINDS: dict[str, Callable[[ast.AST], ast.AST | None]] = {
    "sign": _sign, "scale": _scale, "off by one": _off_by_one, "direction": _direction, "mask dropped": _mask_dropped,
    "sides of where": _sides, "group shifted": _group_shifted, "pair swapped": _pair_swapped, "ddof": _ddof,
    "other reduction": _other_reduction,
}  # fmt: skip
