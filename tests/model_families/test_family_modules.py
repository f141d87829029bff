"""Layers on top of each other in encoders, and in one part of models of several parts: the other parts stay whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from checkpoint_files import load
from model_families.family import write
from model_families.towers import TOWERS

LAYERS = 4
PLACES = (("a", 0), ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3))
SLICES = "slices: [{sources: [{model: a, layer_range: [0, 3]}]}, {sources: [{model: b, layer_range: [1, 4]}]}]"
DEPTHS = ("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers", "depth")


class Parts(NamedTuple):
    """How a family's model is put together.

    Attributes:
        stack: What stands in front of the numbers of the layers that are stacked.
        deeper: The part of config.json and the key that are the number of these layers.
        of_b: Beginnings of names of the tensors outside that stack that are those of ``b``; all others are of ``a``.
        modules: What becomes of every module; empty where the model has one only.
    """

    stack: str
    deeper: tuple[str, str]
    of_b: tuple[str, ...]
    modules: tuple[str, ...] = ()

    def recipe(self) -> str:
        rest = "modules:\n  " + "\n  ".join(self.modules) if self.modules else SLICES
        return f"merge_method: passthrough\n{rest}\n"


def whole(model: str) -> str:
    return f"{{models: [{{model: {model}}}]}}"


STACKED = f"{{{SLICES}}}"
VISION = ("vision_tower: " + whole("a"), "multi_modal_projector: " + whole("b"), "text_decoder: " + STACKED)
PARTS = {
    "bert": Parts("bert.encoder.layer.", ("", "num_hidden_layers"), ("cls.",)),
    "roberta": Parts("roberta.encoder.layer.", ("", "num_hidden_layers"), ("classifier.",)),
    "vit": Parts("vit.encoder.layer.", ("", "num_hidden_layers"), ("vit.layernorm.", "classifier.")),
    "t5": Parts(
        "encoder.block.",
        ("", "num_layers"),
        ("encoder.final_layer_norm.", "decoder."),
        ("encoder: " + STACKED, "decoder: " + whole("b"), "shared: " + whole("a")),
    ),
    "whisper": Parts(
        "model.encoder.layers.",
        ("", "encoder_layers"),
        ("model.encoder.layer_norm.", "model.decoder."),
        ("encoder: " + STACKED, "decoder: " + whole("b")),
    ),
    "llava": Parts(
        "language_model.model.layers.",
        ("text_config", "num_hidden_layers"),
        ("language_model.model.norm.", "language_model.lm_head.", "multi_modal_projector."),
        VISION,
    ),
    "qwen2-vl": Parts(
        "model.layers.", ("text_config", "num_hidden_layers"), ("model.norm.", "lm_head.", "visual.merger."), VISION
    ),
}


@pytest.mark.parametrize("family", PARTS)
def test_one_part_grows(cli, tmp_path, monkeypatch, family):
    parts = PARTS[family]
    monkeypatch.chdir(tmp_path)
    write(TOWERS[family], tmp_path, LAYERS)
    Path("old.yml").write_text(parts.recipe())
    result = cli("run", "old.yml", "-o", "out", "--no-fsync")
    assert result.code == 0, result.err
    _assert_tensors(parts, tmp_path)
    assert _depths(tmp_path / "out") == _depths(tmp_path / "a") | {parts.deeper: len(PLACES)}
    assert torch.isfinite(TOWERS[family].run(TOWERS[family].load(tmp_path / "out"))).all()


def _assert_tensors(parts: Parts, folder: Path) -> None:
    """Assert that every tensor comes from its model, and that none is missing."""
    found, inputs = load(folder / "out"), {name: load(folder / name) for name in "ab"}
    outside = {name for name in inputs["a"] if not name.startswith(parts.stack)}
    assert {name for name in found if not name.startswith(parts.stack)} == outside
    for name in outside:
        assert torch.equal(found[name], inputs["b" if name.startswith(parts.of_b) else "a"][name]), name
    for new, (model, number) in enumerate(PLACES):
        layer, own = f"{parts.stack}{new}.", f"{parts.stack}{number}."
        expected = {layer + name[len(own) :]: name for name in inputs[model] if name.startswith(own)}
        assert {name for name in found if name.startswith(layer)} == expected.keys()
        for name, source in expected.items():
            assert torch.equal(found[name], inputs[model][source]), name


def _depths(folder: Path) -> dict[tuple[str, str], int]:
    """Return every number of layers that config.json states, by part and key."""
    config = json.loads((folder / "config.json").read_text())
    sections = {"": config} | {part: value for part, value in config.items() if isinstance(value, dict)}
    return {(part, key): values[key] for part, values in sections.items() for key in DEPTHS if key in values}
