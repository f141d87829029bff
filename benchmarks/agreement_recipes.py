"""Runs the same recipes of mergekit with mergekit and with `merge`, and prints how far the outcomes are apart.

Usage: ``python benchmarks/agreement_recipes.py PYTHON``, where PYTHON belongs to an environment with mergekit 0.1.5.
The models are small Llamas of four layers with a head of their own, in float32; mergekit is told to compute in float64,
so that what is left is what the two tools understand by a recipe.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from agreement_recipe_cases import RECIPES
from safetensors.torch import load_file

CHILD = Path(__file__).absolute().with_name("agreement_recipes_mergekit.py")
MODELS = ("base", "a", "b", "c")
SPREAD = 0.02  # of the task vectors, which is the spread of the base's weights too
TYPES = "dtype: float64\nout_dtype: float32\n"


def main() -> None:
    """Print a Markdown table with one row per recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="the python of an environment that has mergekit 0.1.5")
    python = parser.parse_args().python.absolute()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_models(folder)
        for number, text in enumerate(RECIPES.values()):
            (folder / f"{number}.yaml").write_text(text + TYPES)
        _run([str(python), str(CHILD)], folder)
        print("| recipe | largest difference |\n|---|---|")
        for number, name in enumerate(RECIPES):
            print(f"| {name} | {compare(folder, number):.1e} |", flush=True)


def write_models(folder: Path) -> None:
    """Write the models, with a configuration that mergekit knows."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4}
    for seed, name in enumerate(MODELS):
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2))
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters() if seed else ():
            parameter.data += SPREAD * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(folder / name)


def compare(folder: Path, number: int) -> float:
    """Run one recipe and return the largest difference of any tensor, as a share of its largest magnitude."""
    ours = f"ours-{number}"
    _run([sys.executable, "-m", "merge", "run", f"{number}.yaml", "-o", ours, "--no-fsync", "--quiet"], folder)
    expected, found = load_file(_weights(folder / f"theirs-{number}")), load_file(_weights(folder / ours))
    if expected.keys() != found.keys():
        raise SystemExit(f"recipe {number}: not the same tensors: {sorted(expected.keys() ^ found.keys())}")
    return max(_difference(expected[name], found[name]) for name in expected)


def _weights(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def _difference(theirs: torch.Tensor, ours: torch.Tensor) -> float:
    one, other = theirs.to(torch.float64), ours.to(torch.float64)
    return float((one - other).abs().max() / one.abs().max().clip(torch.finfo(torch.float32).tiny))


if __name__ == "__main__":
    main()
