"""Measures what Stable Diffusion users do, on float16 files with the names and shapes of the real models.

Run it from a checkout: ``python benchmarks/diffusion.py``. It makes files with the complete layouts of Stable Diffusion
1.5 (2.1 GB) and SDXL (6.9 GB), three of each and a LoRA, runs everything in turn, prints one table and removes what it
made; SDXL takes 28 GB of disk, ``--scale 2`` a quarter of it. It measures and does not judge: the exit code is 0
whatever the figures.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from checkpoints import Layout
from inputs import Inputs, warm
from measure import CHECKOUT, measure
from rows import Row, merge, peak, yardstick
from table import machine, markdown_table, row_cells, section

FAMILIES = {"sd1": "SD 1.5", "sdxl": "SDXL"}
RANK = 32
_LISTING = """
import json, sys
from diffusion_layouts import layout
print(json.dumps(layout(*sys.argv[1:3], int(sys.argv[3]))))
"""
_ADAPTED = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2")


def main(words: Sequence[str]) -> None:
    """Measure the families that the command line asks for."""
    options = _options(words)
    about = machine()
    print(about, end="\n\n", flush=True)
    lines: list[list[str]] = []
    for family in options.family:
        with tempfile.TemporaryDirectory(prefix="merge-benchmark-", dir=options.folder) as folder:
            lines += _family(family, Path(folder), options)
    table = markdown_table(lines)
    print(table)
    if options.markdown:
        options.markdown.write_text(section(about, _command(options), table, 0), encoding="utf-8")


def _family(family: str, folder: Path, options: argparse.Namespace) -> list[list[str]]:
    """Return the rows of the table for one family."""
    inputs = Inputs(folder / "inputs", 0.01)
    layout = _layout(family, "ldm", options.scale)
    models = [inputs.file(f"{family}-{variant}.safetensors", layout, "F16", variant) for variant in range(3)]
    lora = inputs.file("lora.safetensors", lora_layout(_layout(family, "diffusers", options.scale)), "F16", 9)
    warm([*models, lora])
    gigabytes = models[0].stat().st_size / 1e9
    rows = _rows(inputs, f"{FAMILIES[family]}, {gigabytes:.2g} GB", models, lora)
    print(f"diffusion.py: {len(rows)} rows, {options.runs} runs each: {rows[-1].label}", file=sys.stderr, flush=True)
    used = measure(rows, options.runs)
    return [row_cells(row, used, gigabytes) for row in rows]


def _rows(inputs: Inputs, label: str, models: Sequence[Path], lora: Path) -> list[Row]:
    """Return what is run for one family, each against the yardstick of its own bytes."""
    first, second, third = models
    out = inputs.output("merged.safetensors")
    two, three, one = (f"Y, {count} ({label})" for count in (2, 3, 1))
    difference = merge("add-difference", models, out)
    blocks = merge("soup", [first, second], out, "--block-weights", "GRAD_V,BASE=0.5")
    ties = merge("ties", [second, third], out, "--base", str(first))
    return [
        yardstick(inputs, two, [first, second]),
        Row(f"soup of two ({label})", (merge("soup", [first, second], out),), two, (peak(100),), out),
        Row(f"soup of two by blocks ({label})", (blocks,), two, (peak(100),), out),
        yardstick(inputs, three, models),
        Row(f"add difference ({label})", (difference,), three, (peak(100),), out),
        Row(f"ties, base + 2 ({label})", (ties,), three, (peak(150),), out),
        yardstick(inputs, one, [first]),
        Row(f"LoRA of rank {RANK} baked in ({label})", (merge("passthrough", [f"{first}+{lora}"], out),), one, (), out),
    ]


def _layout(family: str, style: str, scale: int) -> Layout:
    """Return names and shapes, from the maker of the tests' models, in a process that may import what it needs."""
    command = [sys.executable, "-c", _LISTING, family, style, str(scale)]
    found = subprocess.check_output(command, cwd=CHECKOUT / "tests", text=True)
    return {name: tuple(shape) for name, shape in json.loads(found).items()}


def lora_layout(model: Layout) -> Layout:
    """Return a LoRA as kohya's scripts write it, of the attentions' matrices of a UNet with diffusers' names."""
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in model.items():
        module = name.removesuffix(".weight")
        if name.startswith("unet.") and module != name and ".attentions." in name and module.endswith(_ADAPTED):
            front, kernel = f"lora_{module.replace('.', '_')}", shape[2:]
            found[f"{front}.alpha"] = ()
            found[f"{front}.lora_down.weight"] = (RANK, shape[1], *kernel)
            found[f"{front}.lora_up.weight"] = (shape[0], RANK, *(1 for _ in kernel))
    return found


def _command(options: argparse.Namespace) -> str:
    """Return the command that measures this again, without the folders of this machine."""
    words = ["python", "benchmarks/diffusion.py", "--runs", str(options.runs)]
    words += ["--scale", str(options.scale)] if options.scale != 1 else []
    words += ["--family", *options.family] if options.family != list(FAMILIES) else []
    return shlex.join(words)


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="what to measure")
    parser.add_argument("--scale", type=int, default=1, help="divides the widths: 2, 4, … 64 (default: 1)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each row (default: 3)")
    parser.add_argument("--folder", type=lambda text: Path(text).absolute(), help="where the temporary folder is made")
    parser.add_argument("--markdown", type=Path, help="also write a section for docs/performance.md to this file")
    options = parser.parse_args(words)
    if options.runs < 1 or options.scale not in {1, 2, 4, 8, 16, 32, 64}:
        parser.error("--runs must be at least 1 and --scale a power of two up to 64")
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
