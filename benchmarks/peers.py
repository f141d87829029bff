"""Runs mergekit on the same checkpoints, in a virtual environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

from checkpoints import llama_config
from inputs import Inputs
from measure import run
from rows import Command, Row, cpu_ratio, merge, wall_ratio

MERGEKIT = "mergekit==0.1.5"
_OFFLINE = ("--no-copy-tokenizer", "--no-write-model-card")  # both would look things up on the hub
_DENSITY = 0.2
_UNIT = "x mergekit's"


def install(environment: Path) -> Path:
    """Return the ``mergekit-yaml`` of a virtual environment, which is made and filled if it is not there."""
    program = environment / "bin" / "mergekit-yaml"
    if not program.exists():
        sys.stderr.write(f"installing {MERGEKIT}, torch included: this takes minutes\n")
        venv.create(environment, with_pip=True)
        pip = (str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", MERGEKIT)
        subprocess.run(pip, check=True, stdout=sys.stderr)
    run((str(program), "--help"))  # so that the first row does not pay for reading torch from the disk
    return program


def mergekit(inputs: Inputs, program: Path) -> list[Row]:
    """Linear merge of two models and TIES of base + 3, by mergekit and by `merge` on the same bytes."""
    base, *models = (inputs.tuned(variant) for variant in range(4))
    out = inputs.output("merged.st")
    linear = _run(program, inputs, "linear", models[:2], {"weight": 0.5})
    # Both programs trim to this density and take the mean of the entries that agree in sign.
    ties = _run(program, inputs, "ties", models, {"weight": 1.0, "density": _DENSITY}, base)
    options = ("--base", str(base), "--density", str(_DENSITY))
    folder = inputs.output("mergekit")
    return [
        Row("mergekit linear, 2 x bf16", (linear,), output=folder),
        Row(
            "soup, 2 x bf16",
            (merge("soup", models[:2], out),),
            "mergekit linear, 2 x bf16",
            (cpu_ratio(0.1, _UNIT), wall_ratio(0.1, _UNIT)),
            out,
        ),
        Row("mergekit ties, base + 3", (ties,), output=folder, most_runs=1),  # minutes
        Row(
            "ties, base + 3",
            (merge("ties", models, out, *options),),
            "mergekit ties, base + 3",
            (cpu_ratio(0.125, _UNIT), wall_ratio(0.125, _UNIT)),
            out,
        ),
    ]


def _run(
    program: Path,
    inputs: Inputs,
    method: str,
    models: list[Path],
    options: dict[str, float],
    base: Path | None = None,
) -> Command:
    """Return the command for a recipe, which is written as JSON: that is YAML too."""
    recipe: dict[str, object] = {
        "merge_method": method,
        "models": [{"model": str(_as_folder(inputs, model)), "parameters": options} for model in models],
        "dtype": "bfloat16",
    }
    if base is not None:
        recipe["base_model"] = str(_as_folder(inputs, base))
    path = inputs.folder / f"{method}.yaml"
    path.write_text(json.dumps(recipe))
    return (str(program), str(path), str(inputs.output("mergekit")), *_OFFLINE)


def _as_folder(inputs: Inputs, model: Path) -> Path:
    """Return a folder with the checkpoint (a hard link) and a config.json, which mergekit asks for."""
    folder = inputs.folder / f"folder-{model.stem}"
    if not folder.exists():
        folder.mkdir()
        (folder / "model.safetensors").hardlink_to(model)
        (folder / "config.json").write_text(json.dumps(llama_config(inputs.layout)))
    return folder
