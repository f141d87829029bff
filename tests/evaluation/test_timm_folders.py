"""Folders that say themselves what they are: timm's form on the hub, and preprocessors that say the size of images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_classifier

from merge.errors import MergeError
from merge.evaluation.locate import locate
from merge.evaluation.networks import build_network, choose_model
from merge.evaluation.networks.preprocessor import published_size

SMALL = {"depth": 1, "img_size": 32, "embed_dim": 24, "num_heads": 2}


def network_of(folder, override=None):
    candidate = locate(str(folder)).load()
    return build_network(candidate, choose_model(candidate, override, None))


def make_timm(folder, name="test_vit", model_args=SMALL, **options):
    """Write a folder as timm does: ``save_for_hf``."""
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    module = timm.create_model(name, **{"num_classes": 5, **(model_args or {}), **options}).eval()
    save_for_hf(module, str(folder), model_args=model_args, safe_serialization=True)
    return module


def change(folder, **entries):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **entries}))


def test_arguments_of_the_model_and_the_size_of_its_images_are_stated(tmp_path):
    module = make_timm(tmp_path)
    network = network_of(tmp_path)
    assert (network.has_classes, network.expects.channels, network.expects.size) == (True, 3, (32, 32))
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network.logits(pixels), module(pixels))
    assert set(network.places()) == set(load_file(tmp_path / "model.safetensors"))


def test_a_size_and_normalization_that_only_the_pretrained_configuration_states(tmp_path):
    make_timm(tmp_path, "test_resnet", None, in_chans=1)
    stated = json.loads((tmp_path / "config.json").read_text())["pretrained_cfg"]
    changed = {**stated, "input_size": [1, 48, 64], "mean": [0.4], "std": [0.3]}
    change(tmp_path, pretrained_cfg=changed, model_args={"num_classes": 99})
    network = network_of(tmp_path)
    assert (network.expects.channels, network.expects.size) == (1, (48, 64))
    assert network.logits(torch.rand(1, 1, 48, 64)).shape == (1, 5)  # as many classes as the checkpoint has
    assert network.module.pretrained_cfg["mean"] == (0.4,)


def test_the_older_form_and_the_one_of_transformers(tmp_path):
    module = make_timm(tmp_path, "test_resnet", None)
    config = json.loads((tmp_path / "config.json").read_text())
    pixels = torch.rand(1, 3, 64, 64)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", **config["pretrained_cfg"]}))
    tensors = load_file(tmp_path / "model.safetensors")
    older = network_of(tmp_path).logits(pixels)
    wrapped = {"architecture": "test_resnet", "model_type": "timm_wrapper", "model_args": None}
    (tmp_path / "config.json").write_text(json.dumps(wrapped))
    save_file({f"timm_model.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "model.safetensors")
    network = network_of(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(older, module(pixels))
        torch.testing.assert_close(network.logits(pixels), module(pixels))
    assert set(network.places()) == {f"timm_model.{name}" for name in tensors}


def test_a_folder_of_timm_is_an_architecture_for_bare_checkpoints(tmp_path):
    make_timm(tmp_path / "whole")
    save_file(load_file(tmp_path / "whole" / "model.safetensors"), tmp_path / "bare.st")
    assert network_of(tmp_path / "bare.st", str(tmp_path / "whole")).expects.size == (32, 32)


def test_no_file_is_read_and_no_weights_are_fetched_since_arguments_say_so(tmp_path):
    make_timm(tmp_path)
    change(tmp_path, model_args={**SMALL, "pretrained": True, "checkpoint_path": str(tmp_path / "evil.pt")})
    assert network_of(tmp_path).expects.size == (32, 32)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"architecture": "test_vitt"}, "timm has no architecture 'test_vitt'.*did you mean 'test_vit"),
        ({"model_args": {**SMALL, "dephts": 3}}, "timm cannot build 'test_vit': .*dephts"),
        ({"model_args": [1]}, "'model_args' in config.json must be a JSON object"),
        ({"model_args": {}, "pretrained_cfg": {"input_size": [3, 0]}}, "states no size of images"),
        ({"model_args": {**SMALL, "depth": 2}}, "do not fit .*missing: blocks.1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, entries, message):
    make_timm(tmp_path)
    change(tmp_path, **entries)
    with pytest.raises(MergeError, match=message):
        network_of(tmp_path)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 96, "width": 64}}, (96, 64)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": False, "crop_size": 96}, (256, 256)),
        ({"size": 48, "crop_size": 32}, (48, 48)),
        ({"size": [48, 32]}, (48, 32)),
        ({"size": {"height": 48, "width": 32}}, (48, 32)),
        ({"size": 48, "do_resize": False}, None),
        ({"image_mean": [0.5]}, None),
        ({"size": "large"}, None),
        ([], None),
    ],
)
def test_the_size_of_a_preprocessor(tmp_path, stated, expected):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
    assert published_size(tmp_path) == expected


def test_a_network_without_positions_takes_what_its_preprocessor_makes(tmp_path):
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes = {"embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 1], "layer_type": "basic"}
    ResNetForImageClassification(ResNetConfig(**sizes)).save_pretrained(tmp_path / "resnet")
    assert network_of(tmp_path / "resnet").expects.size is None
    make_classifier(0).save_pretrained(tmp_path / "vit")
    own = network_of(tmp_path / "vit").expects.size
    for name in ("resnet", "vit"):
        (tmp_path / name / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 40}}')
    assert network_of(tmp_path / "resnet").expects.size == (40, 40)
    assert network_of(tmp_path / "vit").expects.size == own != (40, 40)


def test_such_folders_are_evaluated_and_get_new_statistics(tmp_path, cli):
    make_timm(tmp_path / "model", "test_resnet", {"num_classes": 5})
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(20) % 5)
    (tmp_path / "b.yaml").write_text("name: b\nkind: classification\ndata: {path: data.npz}\n")
    report = tmp_path / "report"
    result = cli("eval", tmp_path / "model", "--benchmark", tmp_path / "b.yaml", "--report", report)
    assert result.code == 0, result.err
    assert result.out.endswith(f"report: {report / 'report.html'}\n")
    out = tmp_path / "reset"
    result = cli("bn-reset", tmp_path / "model", "--data", tmp_path / "b.yaml", "--samples", 8, "-o", out)
    assert result.code == 0, result.err
    assert (out / "config.json").read_text() == (tmp_path / "model" / "config.json").read_text()
