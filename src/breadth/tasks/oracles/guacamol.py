"""Published goals of several properties, written as the component tables that a user would write.

Source: Brown et al., GuacaMol, J. Chem. Inf. Model. 59, 1096 (2019), goal-directed benchmarks: molecules, fingerprints, numbers
and means. Departures: the value of one molecule; their benchmark score averages the best few molecules of a whole search.
"""

from __future__ import annotations

from typing import Any

_OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
_FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
_RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
_PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
_AMLODIPINE = "Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\\C(=O)OC"
_SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
_ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"
_CAMPHOR, _MENTHOL = "CC1(C)C2CCC1(C)C(=O)C2", "CC(C)C1CCC(C)CC1O"
_TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
_SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
_CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
_TROGLITAZONE = "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"
_THIOTHIXENE = "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"


def _like(target: str, fingerprint: str, **transform: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"oracle": "similarity", "name": "likeness", "target": target, "fingerprint": fingerprint}
    return {**part, "transform": transform} if transform else part


def _gauss(name: str, mu: float, sigma: float, side: str = "both") -> dict[str, Any]:
    return {"oracle": name, "transform": {"kind": "gaussian", "mu": mu, "sigma": sigma, "side": side}}


def _unlike(target: str, fingerprint: str, mu: float, sigma: float, side: str) -> dict[str, Any]:
    return {**_like(target, fingerprint, kind="gaussian", mu=mu, sigma=sigma, side=side), "name": "unlikeness"}


def _found(target: str) -> list[dict[str, Any]]:
    return [_like(target, "ecfc4")]


_FLUORINE = {"oracle": "atoms", "element": "F", "transform": {"kind": "gaussian", "mu": 1.0, "sigma": 1.0}}

#: name -> components; each is a geometric mean
GOALS: dict[str, list[dict[str, Any]]] = {
    "osimertinib_mpo": [
        _like(_OSIMERTINIB, "fcfc4", kind="clip", high=0.8),
        _unlike(_OSIMERTINIB, "ecfc6", 0.85, 0.1, "below"),
        _gauss("tpsa", 100, 10, "above"),
        _gauss("logp", 1, 1, "below"),
    ],
    "fexofenadine_mpo": [
        _like(_FEXOFENADINE, "ap", kind="clip", high=0.8),
        _gauss("tpsa", 90, 10, "above"),
        _gauss("logp", 4, 1, "below"),
    ],
    "ranolazine_mpo": [
        _like(_RANOLAZINE, "ap", kind="clip", high=0.7),
        _gauss("logp", 7, 1, "above"),
        _FLUORINE,
        _gauss("tpsa", 95, 20, "above"),
    ],
    "perindopril_mpo": [_like(_PERINDOPRIL, "ecfc4"), _gauss("aromatic_rings", 2, 0.5)],
    "amlodipine_mpo": [_like(_AMLODIPINE, "ecfc4"), _gauss("rings", 3, 0.5)],
    "sitagliptin_mpo": [
        _unlike(_SITAGLIPTIN, "ecfc4", 0.0, 0.1, "both"),
        _gauss("logp", 2.0165, 0.2),  # logP and TPSA of sitagliptin itself
        _gauss("tpsa", 77.04, 5),
        {"oracle": "isomer", "formula": "C16H15F6N5O"},
    ],
    "zaleplon_mpo": [_like(_ZALEPLON, "ecfc4"), {"oracle": "isomer", "formula": "C19H17N3O2"}],
    "median1": [
        {"oracle": "median", "targets": [_CAMPHOR, _MENTHOL], "fingerprint": "ecfc4"},
    ],
    "median2": [
        {"oracle": "median", "targets": [_TADALAFIL, _SILDENAFIL], "fingerprint": "ecfc6"},
    ],
    "celecoxib_rediscovery": _found(_CELECOXIB),
    "troglitazone_rediscovery": _found(_TROGLITAZONE),
    "thiothixene_rediscovery": _found(_THIOTHIXENE),
}
