"""Runs in a Python that has mergekit: runs the recipes that `agreement_recipes.py` wrote into a folder, all in turn."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions


def main() -> None:
    """Write the outcome of every ``N.yaml`` of the current folder into ``theirs-N``."""
    options = MergeOptions(random_seed=0, write_model_card=False, quiet=True)
    for recipe in sorted(Path().glob("*.yaml")):
        config = MergeConfiguration.model_validate(yaml.safe_load(recipe.read_text("utf-8")))
        run_merge(config, f"theirs-{recipe.stem}", options=options)


if __name__ == "__main__":
    sys.exit(main())
