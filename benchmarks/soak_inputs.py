"""The models and recipes that ``soak.py`` merges: small files, classifiers in folders, files that must be refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

_SHAPES = {"embed.weight": (64, 32), "layers.0.w": (32, 32), "layers.0.b": (32,), "layers.1.w": (48, 32), "scale": ()}
_RECIPES = {
    "soup": "merge: soup\nmodels: [a.st, b.st, c.st]\n",
    "weighted": "merge: soup\nmodels:\n  - {model: a.st, weight: 0.7}\n  - {model: b.st, weight: 0.3}\n",
    "task-arithmetic": "merge: task-arithmetic\nbase: base.st\nmodels: [a.st, b.st]\noptions: {scale: 0.5}\n",
    "ties": "merge: ties\nbase: base.st\nmodels: [a.st, b.st, c.st]\noptions: {density: 0.3, trim_scope: checkpoint}\n",
    "dare": "merge: dare\nbase: base.st\nmodels: [a.st, b.st]\nseed: 7\n",
    "slerp": "merge: slerp\nmodels: [a.st, b.st]\n",
    "iso-c": "merge: iso-c\nbase: base.st\nmodels: [a.st, b.st]\n",
    "nested": "merge: slerp\nmodels:\n  - a.st\n  - model: {merge: soup, models: [b.st, c.st]}\n",
    "folder": "merge: soup\nmodels: [digits-a, digits-b]\n",
    "nan": "merge: soup\nmodels: [a.st, nan.st]\n",
    "cut": "merge: soup\nmodels: [a.st, cut.st]\n",
    "other": "merge: soup\nmodels: [a.st, digits-a]\n",
    "option": "merge: soup\nmodels: [a.st, b.st]\noptions: {density: 0.5}\n",
}


def write_inputs(folder: Path) -> None:
    """Write all models and recipes into a folder."""
    for number, name in enumerate(("base", "a", "b", "c")):
        save_file(state(number), folder / f"{name}.st")
    save_file(state(1) | {"layers.1.w": np.full((48, 32), np.nan, "f4")}, folder / "nan.st")
    (folder / "cut.st").write_bytes((folder / "a.st").read_bytes()[:-100])
    for name, text in _RECIPES.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    for number, name in enumerate(("digits-a", "digits-b")):
        _write_classifier(folder / name, number)


def state(number: int) -> dict[str, np.ndarray]:
    """Return a state dict of numpy arrays; 0 is the base, from which the others differ a little."""
    base, own = np.random.default_rng(0), np.random.default_rng(number)
    return {
        name: np.asarray(base.standard_normal(shape) + bool(number) * 0.1 * own.standard_normal(shape), "f4")
        for name, shape in _SHAPES.items()
    }


def _write_classifier(folder: Path, seed: int) -> None:
    """Write an untrained network for the digits."""
    from merge.demo.training import new_model, save

    save(new_model(seed), str(folder))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"num_labels": 10}), encoding="utf-8")
