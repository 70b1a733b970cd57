"""A small drawing of an edge list: vertices on a ring, edges as arrows. SVG without scripts or outside resources."""

from __future__ import annotations

import math
from collections.abc import Iterable

_SIZE, _RING, _DOT = 120.0, 51.0, 6.0  # side of the drawing, radius of the ring, radius of a vertex, in SVG units


def draw_edges(edges: Iterable[tuple[int, int]], *, n_vertices: int, valid: bool) -> str:
    """Return an SVG node-link drawing of directed edges over vertices 0 .. V-1.

    Colours are ``currentColor`` and the CSS variables ``--graph-valid`` and ``--graph-invalid``, so that the page
    decides and dark and light both work. Arrow heads are drawn as paths: markers would need ids, which clash when many
    drawings stand on one page. Only numbers enter the markup.

    Parameters
    ----------
    edges : pairs of int
        (source, target), each in [0, V); repeats are drawn once.
    n_vertices : int
    valid : bool
        Whether the drawing shows a valid answer; invalid ones get dashed arrows, so that colour is not the only sign.

    Examples
    --------
    >>> draw_edges([(0, 1), (1, 0)], n_vertices=2, valid=False).startswith("<svg ")
    True
    """
    distinct = sorted({(int(source), int(target)) for source, target in edges})
    touched = {vertex for edge in distinct for vertex in edge}
    colour = "var(--graph-valid,currentColor)" if valid else "var(--graph-invalid,currentColor)"
    dash = "" if valid else ' stroke-dasharray="3 2"'
    title = ", ".join(f"{source}→{target}" for source, target in distinct)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE:g} {_SIZE:g}" width="{_SIZE:g}" '
        f'height="{_SIZE:g}" role="img" class="graph"><title>{"valid" if valid else "invalid"}: {title}</title>',
        f'<g fill="none" stroke="{colour}" stroke-width="1.6"{dash}>',
    ]
    heads = [f'<g fill="{colour}">']
    for source, target in distinct:
        line, head = _loop(source, n_vertices) if source == target else _arrow(source, target, n_vertices)
        parts.append(line)
        heads.append(head)
    dots = ['<g font-size="7" text-anchor="middle" font-family="sans-serif">']
    for vertex in range(n_vertices):
        x, y = _place(vertex, n_vertices)
        faint = "" if vertex in touched else ' opacity="0.3"'
        dots.append(
            f'<g{faint}><circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT:g}" fill="none" stroke="currentColor"/>'
            f'<text x="{x:.1f}" y="{y + 2.5:.1f}" fill="currentColor">{vertex}</text></g>'
        )
    return "".join([*parts, "</g>", *heads, "</g>", *dots, "</g></svg>"])


def _place(vertex: int, n_vertices: int) -> tuple[float, float]:
    """Return where a vertex stands: clockwise from the top."""
    angle = 2 * math.pi * vertex / n_vertices - math.pi / 2
    return _SIZE / 2 + _RING * math.cos(angle), _SIZE / 2 + _RING * math.sin(angle)


def _arrow(source: int, target: int, n_vertices: int) -> tuple[str, str]:
    """Return line and head of an arrow between two vertices, bent a little so that x → y and y → x both show."""
    (x0, y0), (x1, y1) = _place(source, n_vertices), _place(target, n_vertices)
    length = math.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    bend = 5.0
    mid_x, mid_y = (x0 + x1) / 2 - dy * bend, (y0 + y1) / 2 + dx * bend
    x0, y0 = x0 + dx * _DOT, y0 + dy * _DOT
    tip_x, tip_y = x1 - dx * _DOT, y1 - dy * _DOT
    back = math.hypot(tip_x - mid_x, tip_y - mid_y)
    ux, uy = ((tip_x - mid_x) / back, (tip_y - mid_y) / back) if back else (dx, dy)
    base_x, base_y = tip_x - 5 * ux, tip_y - 5 * uy
    line = f'<path d="M{x0:.1f} {y0:.1f}Q{mid_x:.1f} {mid_y:.1f} {base_x:.1f} {base_y:.1f}"/>'
    head = (
        f'<path d="M{tip_x:.1f} {tip_y:.1f}L{base_x - 2.5 * uy:.1f} {base_y + 2.5 * ux:.1f}'
        f'L{base_x + 2.5 * uy:.1f} {base_y - 2.5 * ux:.1f}Z"/>'
    )
    return line, head


def _loop(vertex: int, n_vertices: int) -> tuple[str, str]:
    """Return a self-loop: a small ring towards the middle, and a dot for its head."""
    x, y = _place(vertex, n_vertices)
    middle = _SIZE / 2
    cx, cy = x + (middle - x) * 0.25, y + (middle - y) * 0.25
    return f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="5"/>', f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="1.5"/>'
