"""Compares an evaluation with a bare torch loop over the same batches.

Run it from a checkout: ``python benchmarks/evaluation.py``. A vision transformer of random weights sees random images,
from the file on: both sides load the model and the images, prepare the same batches and count what is right; the
evaluation also scores, tests and writes its report. Runs alternate in one process and the fastest of each side counts.
``--models 2`` evaluates two models over one set of images.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from table import machine

from merge.evaluation import evaluate

SIZE, CLASSES = 64, 10


def main() -> None:
    """Make the inputs, time both sides in turn, print the ratio."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [_make_model(folder / f"model{number}", number, arguments.width) for number in range(arguments.models)]
        benchmark = _make_benchmark(folder, arguments.images)
        sides: dict[str, Callable[[], list[float]]] = {
            "bare torch loop": lambda: [_bare(model, folder / "data.npz", arguments.batch_size) for model in models],
            "merge eval": lambda: _ours(models, benchmark, folder / "report", arguments.batch_size),
        }
        seconds, found = _race(sides, arguments.runs)
    if found["merge eval"] != found["bare torch loop"]:
        sys.exit(f"the two sides disagree: {found}")
    print(f"{machine()}\n")
    print(f"{arguments.models} model(s) of 12 blocks and width {arguments.width}, {arguments.images} images, ", end="")
    print(f"batches of {arguments.batch_size}, {torch.get_num_threads()} threads, fastest of {arguments.runs} runs\n")
    print("| side | seconds | ratio |\n|---|---|---|")
    for side, spent in seconds.items():
        print(f"| {side} | {spent:.2f} | {spent / seconds['bare torch loop']:.3f} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--runs", type=int, default=3)
    return parser.parse_args()


def _make_model(folder: Path, seed: int, width: int) -> str:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    settings = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": 12, "num_attention_heads": 3}
    config = ViTConfig(**settings, image_size=SIZE, patch_size=8, num_channels=3, num_labels=CLASSES)
    ViTForImageClassification(config).save_pretrained(folder)
    return str(folder)


def _make_benchmark(folder: Path, images: int) -> str:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, SIZE, SIZE, 3), dtype=np.uint8)
    np.savez(folder / "data.npz", images=pixels, labels=generator.integers(0, CLASSES, images))
    path = folder / "benchmark.yaml"
    path.write_text("kind: classification\ndata: {path: data.npz}\nnormalize: {mean: 0.5, std: 0.5}\n")
    return str(path)


def _bare(model: str, data: Path, batch_size: int) -> float:
    """Return the accuracy as a script would find it."""
    from transformers import ViTForImageClassification

    network = ViTForImageClassification.from_pretrained(model).eval()
    with np.load(data) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    right = 0
    with torch.inference_mode():
        for first in range(0, len(images), batch_size):
            batch = torch.from_numpy(images[first : first + batch_size]).permute(0, 3, 1, 2).float() / 255
            logits = network(pixel_values=(batch - 0.5) / 0.5).logits
            right += int((logits.argmax(1).numpy() == labels[first : first + batch_size]).sum())
    return right / len(labels)


def _ours(models: list[str], benchmark: str, report: Path, batch_size: int) -> list[float]:
    evaluation = evaluate(models, [benchmark], batch_size=batch_size, device="cpu", report=report)
    return [row["value"] for row in evaluation.results if row["metric"] == "accuracy"]


def _race(sides: dict[str, Callable[[], list[float]]], runs: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    found = {side: run() for side, run in sides.items()}  # imports and caches are warm from here on
    for _ in range(runs):
        for side, run in sides.items():
            started = time.perf_counter()
            found[side] = run()
            seconds[side].append(time.perf_counter() - started)
    return {side: min(spent) for side, spent in seconds.items()}, found


if __name__ == "__main__":
    main()
