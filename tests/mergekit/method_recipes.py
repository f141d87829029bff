"""Every method of mergekit on vectors small enough to merge by hand, and the same merge in our own grammar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin, sqrt

VECTORS = {
    "base": [10.0, 10.0, 10.0, 10.0],
    "a": [11.0, 8.0, 10.0, 14.0],  # its task vector: 1, -2, 0, 4
    "b": [13.0, 9.0, 12.0, 6.0],  # its task vector: 3, -1, 2, -4
    "east": [1.0, 0.0],
    "north": [0.0, 1.0],
    "far-north": [0.0, 2.0],
    "steep": [0.0, 8.0],
    "flat": [0.5, 0.25],
}
BASE = "base_model: base.st\n"
AB = "models:\n- {model: a.st}\n- {model: b.st}\n"
OURS_AB = "base: base.st\nmodels: [a.st, b.st]\n"
HALF, EIGHTH = sqrt(0.5), pi / 8
STOCK = (cosine := -11 / sqrt(21 * 30)) * 2 / (1 + cosine)


@dataclass(frozen=True)
class Case:
    """One recipe, what it writes, and the recipe of ours that writes the same."""

    theirs: str
    expected: Sequence[float]
    ours: str


def _weighed(*weights: float, more: str = "") -> str:
    listed = zip("ab", weights, strict=True)
    return "models:\n" + "".join(
        f"- {{model: {name}.st, parameters: {{weight: {weight}{more}}}}}\n" for name, weight in listed
    )


def _two(one: str, other: str) -> str:
    entries = (f"- {{model: {name}.st, parameters: {{weight: {weight}}}}}\n" for name, weight in ((one, 1), (other, 3)))
    return "models:\n" + "".join(entries)


SLERP = Case(
    "models: [{model: east.st}, {model: north.st}]\nbase_model: east.st\nparameters: {t: 0.25}\n",
    [cos(EIGHTH), sin(EIGHTH)],
    "merge: slerp\nmodels: [east.st, north.st]\noptions: {t: 0.25}\n",
)
CASES = {
    "linear": Case(
        _weighed(1, 3),
        [12.5, 8.75, 11.5, 8.0],
        "merge: soup\nmodels: [{model: a.st, weight: 1}, {model: b.st, weight: 3}]\noptions: {normalize: true}\n",
    ),
    "slerp": SLERP,
    "nuslerp": Case(
        _two("east", "north"),
        [sin(EIGHTH), cos(EIGHTH)],
        "merge: nuslerp\nmodels: [{model: east.st, weight: 1}, {model: north.st, weight: 3}]\n",
    ),
    "multislerp": Case(
        "models: [{model: east.st}, {model: far-north.st}]\nparameters: {weight: 0.5}\n",
        [1.5 * HALF, 1.5 * HALF],
        "merge: multislerp\nmodels: [{model: east.st, weight: 0.5}, {model: far-north.st, weight: 0.5}]\n",
    ),
    "karcher": Case(
        "models: [{model: east.st}, {model: far-north.st}]\n",
        [1.5 * HALF, 1.5 * HALF],
        "merge: karcher\nmodels: [east.st, far-north.st]\n",
    ),
    "task_arithmetic": Case(
        _weighed(0.5, 0.25) + BASE + "parameters: {lambda: 2}\n",
        [12.5, 7.5, 11.0, 12.0],
        "merge: task-arithmetic\nbase: base.st\nmodels: [{model: a.st, weight: 0.5}, {model: b.st, weight: 0.25}]\n"
        "options: {scale: 2}\n",
    ),
    "ties": Case(
        AB + BASE + "parameters: {weight: 1, density: 0.75}\n",
        [12.0, 8.0, 12.0, 14.0],
        "merge: ties\n" + OURS_AB + "options: {density: 0.75}\n",
    ),
    "dare_linear": Case(
        AB + BASE + "parameters: {weight: 1}\n",
        [14.0, 7.0, 12.0, 10.0],
        "merge: dare\n" + OURS_AB + "options: {density: 1, rescale: l1}\n",
    ),
    "dare_ties": Case(
        AB + BASE + "parameters: {weight: 1}\n",
        [14.0, 7.0, 12.0, 14.0],
        "merge: dare\n" + OURS_AB + "options: {density: 1, rescale: l1, ties: true}\n",
    ),
    "breadcrumbs": Case(
        AB + BASE + "parameters: {weight: 1, density: 0.5, gamma: 0.25}\n",
        [14.0, 8.0, 12.0, 10.0],
        "merge: breadcrumbs\n" + OURS_AB + "options: {density: 0.5, gamma: 0.25}\n",
    ),
    "breadcrumbs_ties": Case(
        AB + BASE + "parameters: {weight: 1, density: 0.75}\n",
        [14.0, 8.0, 12.0, 14.0],
        "merge: breadcrumbs\n" + OURS_AB + "options: {density: 0.75, ties: true}\n",
    ),
    "della": Case(
        AB + BASE + "parameters: {weight: 1}\n",
        [12.0, 8.5, 12.0, 14.0],
        "merge: della\n" + OURS_AB + "options: {density: 1, rescale: l1}\n",
    ),
    "della_linear": Case(
        AB + BASE + "parameters: {weight: 1}\n",
        [14.0, 7.0, 12.0, 10.0],
        "merge: della\n" + OURS_AB + "options: {density: 1, rescale: l1, ties: false, normalize: false}\n",
    ),
    "sce": Case(AB + BASE, [10 + 111 / 51, 10 - 72 / 51, 12.0, 14.0], "merge: sce\n" + OURS_AB),
    "model_stock": Case(
        AB + BASE, [10 + 2 * STOCK, 10 - 1.5 * STOCK, 10 + STOCK, 10.0], "merge: model-stock\n" + OURS_AB
    ),
    "nearswap": Case(
        "models: [{model: a.st}]\n" + BASE + "parameters: {t: 1.5}\n",
        [11.0, 8.5, 10.0, 11.5],
        "merge: nearswap\nbase: base.st\nmodels: [a.st]\noptions: {t: 1.5}\n",
    ),
    # Importances are 7.5 D and 0.25 D with one divergence D: the lower quartiles are the smaller one, and so is the
    # threshold, which both reach.
    "arcee_fusion": Case(
        "models: [{model: flat.st}, {model: steep.st}]\nbase_model: flat.st\n",
        [0.0, 8.0],
        "merge: arcee-fusion\nbase: flat.st\nmodels: [steep.st]\n",
    ),
    "passthrough": Case(
        "models: [{model: a.st, parameters: {scale: 0.5}}]\n",
        [5.5, 4.0, 5.0, 7.0],
        "merge: passthrough\nmodels: [{model: a.st, scale: 0.5}]\n",
    ),
    "ram": Case(
        AB + BASE + "parameters: {epsilon: 0.5}\n",
        [12.0, 8.5, 12.0, 10.0],
        "merge: ram\n" + OURS_AB + "options: {epsilon: 0.5}\n",
    ),
    "ramplus_tl": Case(
        AB + BASE + "parameters: {epsilon: 0.5}\n",
        [12.0, 8.5, 12.04, 10.0],
        "merge: ram\n" + OURS_AB + "options: {epsilon: 0.5, r: 0.1}\n",
    ),
}
