"""Runs in a Python that has mergekit: runs the recipes that `agreement_recipes.py` wrote into a folder, all in turn."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from mergekit.scripts.multimerge import main as merge_documents


def main() -> None:
    """Write the outcome of every ``N.yaml`` of the current folder into ``theirs-N``."""
    options = MergeOptions(random_seed=0, write_model_card=False, quiet=True, copy_tokenizer=False)
    for recipe in sorted(Path().glob("*.yaml")):
        documents = list(yaml.safe_load_all(recipe.read_text("utf-8")))
        if len(documents) > 1:
            _run_documents(recipe)
        else:
            run_merge(MergeConfiguration.model_validate(documents[0]), f"theirs-{recipe.stem}", options=options)


def _run_documents(recipe: Path) -> None:
    folders = ["--out-path", f"theirs-{recipe.stem}", "--intermediate-dir", f"between-{recipe.stem}"]
    options = ["--no-write-model-card", "--no-copy-tokenizer", "--quiet"]
    merge_documents.main(args=[str(recipe), *folders, *options], standalone_mode=False)


if __name__ == "__main__":
    sys.exit(main())
