"""What the tests of zero-shot classification share: class names, images, and the logits that a benchmark finds."""

from __future__ import annotations

import torch
from tiny_models import example_arrays

from merge.evaluation.locate import locate
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings

NAMES = ["red fox", "crane", "bee"]
TEMPLATES = ["a photo of a {}.", "art of the {c}!"]
CLASSES = f"classes: {NAMES}\n"
BOTH = f"templates: {TEMPLATES}\n"
IMAGES = example_arrays(channels=3)["images"]


def outcome_of(checkpoint, benchmark, **settings):
    return read_benchmark(benchmark).prepare(Settings(**settings)).evaluate(locate(str(checkpoint)).load())


def logits_of(checkpoint, benchmark, **settings):
    return outcome_of(checkpoint, benchmark, **settings).logits


def pixels(mean=0.5, std=0.25):
    return (torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255 - mean) / std
