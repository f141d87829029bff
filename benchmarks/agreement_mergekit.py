"""Runs in a Python that has mergekit: merges what `agreement.py` wrote into a folder, and knows nothing of us."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from mergekit.merge_methods.api import merge_state_dicts
from safetensors.torch import load_file, save_file

SEED = 1


def main(folder: Path) -> None:
    """Merge every case of ``cases.json`` into a file of its own, and write down the versions.

    A case with a dtype is computed in float64 and then cast to it; others as mergekit does by itself.
    """
    for case in json.loads((folder / "cases.json").read_text()):
        models = [load_file(folder / file) for file in case["models"]]
        torch.manual_seed(SEED)
        kinds = {} if case["dtype"] is None else {"dtype": torch.float64, "out_dtype": getattr(torch, case["dtype"])}
        merged = merge_state_dicts(models, case["method"], parameters=case["parameters"], base=case["base"], **kinds)
        save_file({name: tensor.contiguous() for name, tensor in merged.items()}, folder / case["out"])
    versions = {name: version(name) for name in ("mergekit", "torch")}
    (folder / "versions.json").write_text(json.dumps(versions))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
