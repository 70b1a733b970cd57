"""The molecules of a study as a chemist looks at them: families with their core, a map, scaffolds, properties.

Each panel rests on the last samples of the objectives' first seeds. Texts are canonical SMILES that RDKit wrote, never a
policy's own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from breadth.experiments.evidence import Evidence
from breadth.experiments.examples import PictureBook
from breadth.experiments.molecule_samples import MoleculeSet, is_about_molecules, policy_sets, reference_set
from breadth.experiments.notation import plural
from breadth.experiments.plots import Figure
from breadth.experiments.traces import layout_of, looks

N_CLUSTERS, N_SHOWN, N_CORE = 6, 4, 8  # families of an objective; molecules of a family; of them searched for the core
N_MAP = 300  # points of an objective on the map
N_SCAFFOLDS = 40  # tiles of an objective
N_MEASURED = 400  # molecules of an objective whose properties are computed
N_BINS = 28
HIGHEST = 0.35  # share at which the bars of a collapsed policy are cut, so that the others can be seen beside it
SHOWN_PROPERTIES = {
    "mw": "molecular weight, g/mol",
    "logp": "logP (Crippen)",
    "tpsa": "polar surface area, Å²",
    "rotatable_bonds": "rotatable bonds",
    "qed": "QED",
    "sa": "synthetic accessibility (1 easy)",
}


@dataclass(frozen=True, slots=True)
class Family:
    """One cluster of an objective's molecules: how much of it, the core that its members share, some members drawn."""

    n_samples: int
    share: float  # of the parsable samples
    n_molecules: int
    quality: float | None  # mean over samples
    core: str | None  # SMARTS
    n_core: int | None  # atoms of it
    cards: tuple[tuple[str | None, str, float | None, int], ...]  # picture's name, SMILES, quality, count


@dataclass(frozen=True, slots=True)
class Grid:
    """The families of one objective."""

    name: str
    seed: int | None
    step: int | None
    n: int
    n_molecules: int
    n_families: int
    families: tuple[Family, ...]


def molecules(evidence: Evidence, book: PictureBook) -> dict[str, Any] | None:
    """Return the words of the section; None where the study is about something else, or left no samples."""
    if not is_about_molecules(evidence):
        return None
    sets = policy_sets(evidence)
    if not sets:
        return None
    reference, note = reference_set(evidence)
    notes = (note,) if note else ()
    figures = [
        space_figure(sets, reference, notes),
        scaffold_figure(sets),
        property_figure(sets, reference, notes),
    ]
    return {
        "title": "The molecules: families, map, scaffolds, properties",
        "grids": [grid(one, book) for one in sets],
        "figures": [figure for figure in figures if figure is not None],
    }


def grid(one: MoleculeSet, book: PictureBook) -> Grid:
    """Return the largest families of an objective, drawn."""
    from breadth.tasks.fingerprints import pack_fingerprints
    from breadth.tasks.molecule_clusters import common_core, neighbour_clusters
    from breadth.tasks.molecule_picture import draw_molecule

    counts = np.array(one.counts)
    clusters = neighbour_clusters(pack_fingerprints(one.smiles))
    clusters.sort(key=lambda members: (-int(counts[members].sum()), int(members[0])))
    families = []
    for members in clusters[:N_CLUSTERS]:
        ordered = sorted(members.tolist(), key=lambda i: (-one.counts[i], i))
        core = common_core([one.smiles[i] for i in ordered[:N_CORE]])
        smarts = core.smarts if core else None
        cards = tuple(
            (
                book.add(
                    f"{one.smiles[i]} {smarts}", lambda i=i, smarts=smarts: draw_molecule(one.smiles[i], core=smarts)
                ),
                one.smiles[i],
                one.quality[i],
                one.counts[i],
            )
            for i in ordered[:N_SHOWN]
        )
        n = int(counts[members].sum())
        scored = [(one.quality[i], one.counts[i]) for i in members.tolist() if one.quality[i] is not None]
        weight = sum(count for _, count in scored)
        families.append(
            Family(
                n_samples=n,
                share=n / one.n,
                n_molecules=len(members),
                quality=sum(q * count for q, count in scored) / weight if weight else None,
                core=smarts,
                n_core=core.n_atoms if core else None,
                cards=cards,
            )
        )
    return Grid(one.name, one.seed, one.step, one.n, len(one.smiles), len(clusters), tuple(families))


def space_figure(sets: Sequence[MoleculeSet], reference: MoleculeSet | None, notes: tuple[str, ...]) -> Figure | None:
    """Return the map of fingerprints: every objective's most frequent molecules over the corpus."""
    from breadth.tasks.fingerprints import pack_fingerprints
    from breadth.tasks.molecule_clusters import fingerprint_map

    shown = [*([reference] if reference else []), *sets]
    texts = [one.smiles[: N_MAP if one.index is not None else None] for one in shown]
    if sum(map(len, texts)) < 3:
        return None
    place, share = fingerprint_map(pack_fingerprints([text for part in texts for text in part]))
    data, first = [], 0
    for one, part in zip(shown, texts, strict=True):
        colour, _, symbol = looks(one.index) if one.index is not None else ("@axis", "", "circle-open")
        points = place[first : first + len(part)]
        first += len(part)
        size = np.clip(5 + 3 * np.log2(np.array(one.counts[: len(part)])), 5, 22) if one.index is not None else 4
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(one.name),
                "legendgroup": one.name,
                "x": points[:, 0].round(4).tolist(),
                "y": points[:, 1].round(4).tolist(),
                "customdata": [
                    escape(text) + ("" if q is None else f"<br>quality {q:.3f}, {count}×")
                    for text, q, count in zip(part, one.quality, one.counts, strict=False)
                ],
                "xaxis": "x",
                "yaxis": "y",
                "marker": {
                    "symbol": symbol,
                    "size": size.round(1).tolist() if isinstance(size, np.ndarray) else size,
                    "color": f"{colour}/{0.6 if one.index is not None else 0.5}",
                },
                "meta": {"role": "molecule"},
                "hovertemplate": "%{fullData.name}<br>%{customdata}<extra></extra>",
            }
        )
    return Figure(
        id="chemical-space",
        title="Map of the molecules",
        caption=f"The two leading principal components of the ECFP4 fingerprints; they hold {share:.1%} of the variance, so what lies "
        "far apart is unlike, and what lies together need not be alike. Each point: a distinct molecule, larger the more often it was "
        f"sampled; at most {N_MAP} an objective.",
        data=data,
        layout=layout_of({"x": ["first component"], "y": ["second component"]}),
        panel_height=520,
        notes=notes,
        names=("map",),
    )


def scaffold_figure(sets: Sequence[MoleculeSet]) -> Figure:
    """Return the tree of scaffolds: an objective's tile is parted by the Murcko scaffolds of its samples."""
    from breadth.tasks.molecule_sets import murcko_scaffolds

    ids, labels, parents, values, words, colours = [], [], [], [], [], []
    for one in sets:
        sums: dict[str, list[float]] = {}
        for scaffold, count, quality in zip(murcko_scaffolds(one.smiles), one.counts, one.quality, strict=True):
            row = sums.setdefault(scaffold or "", [0, 0.0, 0])
            row[0] += count
            if quality is not None:
                row[1] += quality * count
                row[2] += count
        ordered = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
        tiles = [(name or "no ring", row) for name, row in ordered[:N_SCAFFOLDS]]
        rest = [row for _, row in ordered[N_SCAFFOLDS:]]
        if rest:
            tiles.append((f"{len(rest):,} others", [sum(column) for column in zip(*rest, strict=True)]))
        colour, _, _ = looks(one.index or 0)
        root = f"o{one.index}"
        total = sum(row[0] for _, row in tiles)
        for place, (name, (count, quality, scored)) in enumerate([(one.name, (total, 0.0, 0)), *tiles]):
            ids.append(root if place == 0 else f"{root}/{place}")
            labels.append(escape(name if len(name) <= 40 else name[:39] + "…"))
            parents.append(root if place else "")
            values.append(count)
            mean = "" if not scored else f", mean quality {quality / scored:.3f}"
            words.append(
                f"{escape(name)}<br>{plural(count, 'sample')} ({count / total:.1%}){mean}"
                if place
                else f"{plural(len(sums), 'scaffold')}"
            )
            grey = place > N_SCAFFOLDS  # the others: many small families, which must not look like one
            colours.append(
                "@axis/0.3" if grey else f"{colour}/{0.85 if place == 0 else max(0.3, 0.75 - 0.02 * place):.2f}"
            )
    trace = {
        "type": "treemap",
        "name": "scaffolds",
        "ids": ids,
        "labels": labels,
        "parents": parents,
        "values": values,
        "customdata": words,
        "branchvalues": "total",
        "marker": {"colors": colours, "line": {"width": 1}},
        "sort": False,
        "tiling": {"pad": 2},
        "textfont": {"color": "@ink"},
        "pathbar": {"visible": True},
        "meta": {"role": "scaffold"},
        "hovertemplate": "%{customdata}<extra></extra>",
        "showlegend": False,
    }
    layout = layout_of({"x": [""], "y": [""]})
    layout["margin"] = {"l": 4, "r": 4, "t": 8, "b": 8}
    return Figure(
        id="scaffolds",
        title="Scaffolds",
        caption=f"Area: samples. Each objective's tile is parted by Murcko scaffold, the {N_SCAFFOLDS} most frequent and the others together, paler. "
        "A full-coloured tile that fills its objective is a policy that writes one family.",
        data=[trace],
        layout=layout,
        panel_height=560,
        names=("scaffolds",),
    )


def property_figure(sets: Sequence[MoleculeSet], reference: MoleculeSet | None, notes: tuple[str, ...]) -> Figure:
    """Return histograms of properties: every objective's samples, repeats counted, over the corpus."""
    from breadth.tasks.molecule_properties import COUNTS, molecule_properties

    shown = [*([reference] if reference else []), *sets]
    found = [molecule_properties(one.smiles[:N_MEASURED], SHOWN_PROPERTIES) for one in shown]
    data = []
    for panel, name in enumerate(SHOWN_PROPERTIES, start=1):
        every = np.concatenate([values[name] for values in found])
        low, high = np.quantile(every, [0.005, 0.995])
        if name in COUNTS:
            edges = np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.0)
        else:
            edges = np.linspace(low, high if high > low else low + 1.0, N_BINS + 1)
        for one, values in zip(shown, found, strict=True):
            weight = np.array(one.counts[: len(values[name])], dtype=float)
            inside = np.clip(values[name], edges[0], edges[-1])  # the outermost bars hold what lies beyond
            height = np.histogram(inside, bins=edges, weights=weight)[0] / weight.sum()
            colour, dash, _ = looks(one.index) if one.index is not None else ("@axis", "solid", "")
            axis = "" if panel == 1 else str(panel)
            trace = {
                "type": "scatter",
                "mode": "lines",
                "name": escape(one.name),
                "legendgroup": one.name,
                "showlegend": panel == 1,
                "xaxis": f"x{axis}",
                "yaxis": f"y{axis}",
                "x": ((edges[:-1] + edges[1:]) / 2).round(5).tolist(),
                "y": height.round(5).tolist(),
                "line": {"color": colour, "width": 2, "dash": dash, "shape": "hvh"},
                "meta": {"role": "share of samples"},
                "hovertemplate": "%{fullData.name}<br>%{x:.4g}: %{y:.1%}<extra></extra>",
            }
            if one.index is None:
                trace |= {"fill": "tozeroy", "fillcolor": "@axis/0.2", "line": {**trace["line"], "width": 1}}
            data.append(trace)
    headings = list(SHOWN_PROPERTIES.values())
    n = len(headings)
    layout = layout_of({"x": [""] * n, "y": ["share"] * n}, headings=headings)
    cut = ""
    for panel in range(1, n + 1):
        axis = "" if panel == 1 else str(panel)
        top = max(max(trace["y"]) for trace in data if trace["yaxis"] == f"y{axis}")
        if top > HIGHEST:
            layout[f"yaxis{axis}"]["range"] = [0, HIGHEST]
            cut = f" Bars above {HIGHEST:.0%} are cut."
    return Figure(
        id="properties",
        title="Properties against the corpus",
        caption=f"Share of the samples in each bar, repeats counted; up to {N_MEASURED} distinct molecules an objective. Filled: "
        f"{reference.name if reference else 'no reference'}. The outermost bars hold what lies beyond them.{cut}",
        data=data,
        layout=layout,
        panels=n,
        columns=3,
        panel_height=230,
        notes=notes,
        names=tuple(headings),
    )
