"""Runs the same recipes of mergekit with mergekit and with `merge`, and prints how far the outcomes are apart.

Usage: ``python benchmarks/agreement_recipes.py PYTHON``, where PYTHON belongs to an environment with mergekit 0.1.5.
The models are small, most of them Llamas of four layers with a head of their own, in float32; mergekit is told to
compute in float64, so that what is left is what the two tools understand by a recipe. Names of tensors, shapes, depths
and vocabulary sizes in ``config.json``, tokens and special tokens must be the same; the script says what is not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agreement_recipe_cases import RECIPES
from agreement_recipe_compare import DifferenceError, difference
from agreement_recipe_documents import DOCUMENTS
from agreement_recipe_models import write_models
from agreement_recipe_modules import MODULES
from agreement_recipe_random import random_recipes
from agreement_recipe_slices import SLICES
from agreement_recipe_tokens import STAGED_TOKENS, TOKENS

CHILD = Path(__file__).absolute().with_name("agreement_recipes_mergekit.py")
TYPES = "dtype: float64\nout_dtype: float32\n"
Recipes = Mapping[str, str | Sequence[str]]
GROUPS: dict[str, Recipes] = {
    "Whole models": RECIPES,
    "Slices": SLICES,
    "Several documents": DOCUMENTS,
    "Modules": MODULES,
    "Tokenizers": TOKENS | STAGED_TOKENS,
}
RANDOM = "Random recipes"


def main() -> int:
    """Print a Markdown table for each group with one row per recipe; return 1 if an outcome is not the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="the python of an environment that has mergekit 0.1.5")
    parser.add_argument("--group", choices=GROUPS, action="append", help="only this group; may be repeated")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="that many random recipes instead")
    parser.add_argument("--seed", type=int, default=0, help="of the random recipes")
    options = parser.parse_args()
    groups = {name: GROUPS[name] for name in options.group or GROUPS}
    if options.random:
        groups = {RANDOM: random_recipes(options.random, options.seed)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder)
        written = dict(_write_recipes(folder, groups))
        _run([str(options.python.absolute()), str(CHILD)], folder)
        return max([_print(group, numbers, folder, whole=bool(options.random)) for group, numbers in written.items()])


def _write_recipes(folder: Path, groups: Mapping[str, Recipes]) -> Iterator[tuple[str, dict[str, int]]]:
    """Write recipes as ``N.yaml``, and yield what their numbers are."""
    number = 0
    for group, recipes in groups.items():
        numbers = {}
        for name, text in recipes.items():
            documents = [text] if isinstance(text, str) else text
            (folder / f"{number}.yaml").write_text("---\n".join(one + TYPES for one in documents), "utf-8")
            numbers[name] = number
            number += 1
        yield group, numbers


def _print(group: str, numbers: Mapping[str, int], folder: Path, *, whole: bool = False) -> int:
    """Print a row for each recipe, or one row for the whole group; return 1 if an outcome is not the same."""
    print(f"### {group}\n\n| recipe | largest difference |\n|---|---|")
    found = []
    for name, number in numbers.items():
        try:
            found.append(compare(folder, number))
        except (DifferenceError, RuntimeError) as error:
            print(f"{group}, {name}: {error}\n{(folder / f'{number}.yaml').read_text('utf-8')}", file=sys.stderr)
        else:
            if not whole:
                print(f"| {name} | {found[-1]:.1e} |", flush=True)
    if whole and found:
        print(f"| {len(found)} of {len(numbers)} that are the same | {max(found):.1e} |")
    print(flush=True)
    return int(len(found) < len(numbers))


def compare(folder: Path, number: int) -> float:
    """Run one recipe here, and return how far it is from what mergekit wrote.

    Raises:
        DifferenceError: The outcomes differ in what is not a number.
        RuntimeError: The recipe does not run.
    """
    ours, recipe = f"ours-{number}", folder / f"{number}.yaml"
    written = ["--intermediate-dir", f"between-ours-{number}"] if _needs_files(recipe.read_text("utf-8")) else []
    command = [sys.executable, "-m", "merge", "run", recipe.name, "-o", ours, "--no-fsync", "--quiet", *written]
    _run(command, folder)
    return difference(folder / f"theirs-{number}", folder / ours)


def _needs_files(text: str) -> bool:
    """Tell whether a document takes the tokenizer of another one's outcome, which must be written for that."""
    return "---\n" in text and "tokenizer" in text


def _run(command: list[str], folder: Path) -> None:
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=offline, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
