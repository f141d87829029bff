"""A tiny CLIP image tower, merged by the command line, against an independent computation in float64."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clip_by_hand
import numpy as np
import pytest
import torch
from evaluation.tiny_models import make_clip_config
from safetensors.torch import load_file, save_file

OFF_DIAGONAL, ITEMS = 0.9, 12
NAME = "merge-tiny-clip-quick"


def make_towers(folder: Path) -> dict[str, dict[str, Any]]:
    """Three towers in folders, two models and a base, with large and unlike weights."""
    from transformers import CLIPVisionModelWithProjection

    states = {}
    for seed, name in enumerate(("one", "two", "base")):
        torch.manual_seed(seed)
        model = CLIPVisionModelWithProjection(make_clip_config(num_hidden_layers=3))
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
        model.save_pretrained(folder / name)
        states[name] = dict(load_file(folder / name / "model.safetensors"))
    return states


def make_data(folder: Path) -> list[Any]:
    found = []
    for seed, name in enumerate(("one", "two")):
        images = np.random.default_rng(seed).integers(0, 256, (ITEMS, 8, 8, 3), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images)
        (folder / f"{name}.yaml").write_text(f"kind: classification\ndata: {{path: {name}.npz}}\n")
        found.append(images.transpose(0, 3, 1, 2) / 255)
    return found


def by_hand(states: dict[str, dict[str, Any]], pixels: Any, sequential: bool) -> dict[str, Any]:
    wide = {model: {name: t.double().numpy() for name, t in state.items()} for model, state in states.items()}
    models = [wide["one"], wide["two"]]
    return clip_by_hand.merge(models, wide["base"], pixels, OFF_DIAGONAL, heads=2, sequential=sequential)


def options(method: str, out: str) -> list[str]:
    given = ["--off-diagonal", str(OFF_DIAGONAL), "--samples", str(ITEMS), "--batch-size", "5", "-o", out]
    return [method, *given, "--data", "one.yaml", "--data", "two.yaml"]


def as_open_clip(state: dict[str, Any]) -> dict[str, Any]:
    """The tower's tensors as open_clip has them: fused attention, and the projection [inputs, outputs]."""
    names = {
        "embeddings.class_embedding": "class_embedding",
        "embeddings.patch_embedding.weight": "conv1.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        **{f"pre_layrnorm.{kind}": f"ln_pre.{kind}" for kind in ("weight", "bias")},
        **{f"post_layernorm.{kind}": f"ln_post.{kind}" for kind in ("weight", "bias")},
    }
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj"}
    parts |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    found = {f"visual.{there}": state[f"vision_model.{here}"] for here, there in names.items()}
    found["visual.proj"] = state["visual_projection.weight"].T.contiguous()
    for number in range(3):
        here, there = f"vision_model.encoder.layers.{number}.", f"visual.transformer.resblocks.{number}."
        for kind in ("weight", "bias"):
            found |= {f"{there}{name}.{kind}": state[f"{here}{part}.{kind}"] for part, name in parts.items()}
            fused = [state[f"{here}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            found[f"{there}attn.in_proj_{kind}"] = torch.cat(fused)
    return found


@pytest.fixture
def open_clip_model(tmp_path: Path) -> str:
    import open_clip

    vision = {"image_size": 8, "layers": 3, "width": 8, "head_width": 4, "patch_size": 4, "mlp_ratio": 2.0}
    text = {"context_length": 8, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1}
    config = {"embed_dim": 4, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    (tmp_path / f"{NAME}.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    return f"open_clip:{NAME}"


def test_regmean_pp_of_transformers(here: Path, cli: Callable[..., Any]) -> None:
    states, pixels = make_towers(here), make_data(here)
    result = cli(*options("regmean-pp", "out"), "one", "two", "--base", "base")
    assert result.code == 0, result.err
    check(load_file(here / "out" / "model.safetensors"), by_hand(states, pixels, sequential=True))


def test_regmean_pp_of_open_clip(here: Path, cli: Callable[..., Any], open_clip_model: str) -> None:
    states, pixels = make_towers(here), make_data(here)
    for name, state in states.items():
        save_file(as_open_clip(state), here / f"{name}.st")
    result = cli(*options("regmean-pp", "out.st"), "one.st", "two.st", "--base", "base.st", "--model", open_clip_model)
    assert result.code == 0, result.err
    wanted = {name: torch.from_numpy(array) for name, array in by_hand(states, pixels, sequential=True).items()}
    check(load_file(here / "out.st"), {name: tensor.numpy() for name, tensor in as_open_clip(wanted).items()})


def test_regmean_of_both_libraries(here: Path, cli: Callable[..., Any], open_clip_model: str) -> None:
    """RegMean averages what follows the blocks."""
    states, pixels = make_towers(here), make_data(here)
    assert cli(*options("regmean", "out"), "one", "two").code == 0
    wanted = by_hand(states, pixels, sequential=False)
    found = load_file(here / "out" / "model.safetensors")
    blocks = {name: array for name, array in wanted.items() if ".encoder." in name}
    check({name: found[name] for name in blocks}, blocks)
    for name, state in states.items():
        save_file(as_open_clip(state), here / f"{name}.st")
    assert cli(*options("regmean", "out.st"), "one.st", "two.st", "--model", open_clip_model).code == 0
    fused = as_open_clip({name: torch.from_numpy(array) for name, array in wanted.items()})
    found = load_file(here / "out.st")
    check(
        {n: found[n] for n in fused if "resblocks" in n}, {n: t.numpy() for n, t in fused.items() if "resblocks" in n}
    )


def test_both_methods_differ_by_far_more_than_the_tolerance(here: Path) -> None:
    states, pixels = make_towers(here), make_data(here)
    one, other = (by_hand(states, pixels, sequential) for sequential in (True, False))
    assert max(float(np.abs(one[name] - other[name]).max()) for name in one if "layers.1." in name) > 0.01


def check(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), array, rtol=0, atol=1e-5, err_msg=name)
