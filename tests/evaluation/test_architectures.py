"""Vision models of every library, by every form of ``--model`` and of a benchmark's ``model``."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import OPEN_CLIP_NAME, make_clip, make_open_clip, make_processor
from tiny_models import CLASSES, example_arrays, make_classifier

from merge.errors import MergeError, UsageError
from merge.evaluation.classifier import load_classifier
from merge.evaluation.locate import locate
from merge.evaluation.model_name import parse_model_name
from merge.evaluation.networks import build_network
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings

PIXELS = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


def built(path, name):
    candidate = locate(str(path)).load()
    return build_network(candidate, parse_model_name(name, "--model"))


def logits_of(path, benchmark, **settings):
    return read_benchmark(benchmark).prepare(Settings(**settings)).evaluate(locate(str(path)).load()).logits


class TestTimm:
    @pytest.mark.parametrize(("name", "channels"), [("test_resnet", 1), ("test_vit", 3), ("test_byobnet.r160_in1k", 3)])
    def test_classes_and_channels_come_from_the_checkpoint(self, tmp_path, name, channels):
        import timm

        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=CLASSES, in_chans=channels).eval()
        save_file(model.state_dict(), tmp_path / "model.st")
        network = built(tmp_path / "model.st", f"timm:{name}")
        assert (network.has_classes, network.expects.channels, network.expects.size) == (True, channels, (160, 160))
        with torch.no_grad():
            torch.testing.assert_close(network.logits(PIXELS[:, :channels]), model(PIXELS[:, :channels]))

    def test_without_a_classifier_it_gives_features(self, tmp_path):
        import timm

        model = timm.create_model("test_resnet", num_classes=0).eval()
        save_file(model.state_dict(), tmp_path / "model.st")
        network = built(tmp_path / "model.st", "timm:test_resnet")
        assert not network.has_classes
        with torch.no_grad():
            torch.testing.assert_close(network.features(PIXELS), model(PIXELS))

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("timm:resnet188", "timm has no architecture 'resnet188' .*did you mean 'resnet18"),
            ("timm:resnet18.nothing", "Invalid pretrained tag .*'timm:resnet18' alone"),
            ("timm:hf-hub:org/name", "timm has no architecture 'hf-hub:org/name'"),
        ],
    )
    def test_misspelt(self, tmp_path, name, message):
        save_file({"a": torch.zeros(1)}, tmp_path / "model.st")
        with pytest.raises(UsageError, match=f"--model: .*{message}"):
            built(tmp_path / "model.st", name)

    def test_every_parameter_must_come_from_the_checkpoint(self, tmp_path):
        import timm

        tensors = timm.create_model("test_resnet", num_classes=CLASSES).state_dict()
        del tensors["layer1.0.conv1.weight"]
        tensors["layer1.0.conv2.weight"] = torch.zeros(3)
        tensors["more"] = torch.zeros(3)
        save_file(tensors, tmp_path / "model.st")
        message = r"timm:test_resnet; 1 missing: layer1.0.conv1.weight; 1 left over: more; 1 of another shape: .*conv2"
        with pytest.raises(MergeError, match=message):
            built(tmp_path / "model.st", "timm:test_resnet")


class TestOpenClip:
    def test_tower_with_and_without_its_prefix(self, tmp_path):
        model = make_open_clip(tmp_path)
        tensors = load_file(tmp_path / "open_clip.safetensors")
        tower = {name: tensor for name, tensor in tensors.items() if name.startswith("visual.")}
        save_file(tower, tmp_path / "tower.st")
        save_file({name.removeprefix("visual."): tensor for name, tensor in tower.items()}, tmp_path / "bare.st")
        pixels = PIXELS[:, :, :8, :8]
        with torch.no_grad():
            expected = model.encode_image(pixels)
            for file in ("open_clip.safetensors", "tower.st", "bare.st"):
                network = built(tmp_path / file, f"open_clip:{OPEN_CLIP_NAME}")
                torch.testing.assert_close(network.features(pixels), expected)
                assert network.expects.size == (8, 8)

    def test_folder_with_open_clips_configuration(self, tmp_path):
        import json

        make_open_clip(tmp_path)
        folder = tmp_path / "hub"
        folder.mkdir()
        config = json.loads((tmp_path / f"{OPEN_CLIP_NAME}.json").read_text())
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
        (folder / "open_clip_model.safetensors").write_bytes((tmp_path / "open_clip.safetensors").read_bytes())
        np.savez(tmp_path / "data.npz", **example_arrays(channels=3))
        text = "kind: zero-shot\ndata: {path: data.npz}\nclasses: [a, b, c]\n"
        (tmp_path / "bench.yaml").write_text(text)
        found = logits_of(folder, str(tmp_path / "bench.yaml"))
        (tmp_path / "bench.yaml").write_text(f"{text}model: open_clip:{OPEN_CLIP_NAME}\n")
        np.testing.assert_array_equal(
            logits_of(tmp_path / "open_clip.safetensors", str(tmp_path / "bench.yaml")), found
        )

    def test_left_over_tensors_are_refused(self, tmp_path):
        make_open_clip(tmp_path)
        tensors = load_file(tmp_path / "open_clip.safetensors")
        save_file(tensors | {"visual.more": torch.zeros(1), "else": torch.zeros(1)}, tmp_path / "more.st")
        with pytest.raises(MergeError, match="2 left over: else, more"):
            built(tmp_path / "more.st", f"open_clip:{OPEN_CLIP_NAME}")

    def test_building_says_nothing_and_draws_nothing(self, tmp_path, caplog):
        make_open_clip(tmp_path)
        caplog.set_level(logging.DEBUG)
        caplog.clear()
        state = torch.random.get_rng_state()
        built(tmp_path / "open_clip.safetensors", f"open_clip:{OPEN_CLIP_NAME}")
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert torch.equal(torch.random.get_rng_state(), state)


OWN = """
import torch

class Net(torch.nn.Module):
    {attributes}

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear({inputs}, 3)

    def forward(self, pixels):
        return {forward}
{more}
"""


class TestOwnClass:
    @pytest.fixture
    def make(self, tmp_path):
        def make(attributes="", inputs=64, forward="self.layer(pixels.flatten(1))", more=""):
            text = OWN.format(attributes=attributes, inputs=inputs, forward=forward, more=more)
            (tmp_path / "net.py").write_text(text)
            torch.manual_seed(0)
            weight = torch.randn(3, inputs)
            save_file({"layer.weight": weight, "layer.bias": torch.ones(3)}, tmp_path / "model.st")
            return tmp_path / "model.st", f"{tmp_path}/net.py:Net", weight

        return make

    def test_images_as_stored(self, make, tmp_path):
        path, name, weight = make()
        arrays = example_arrays()
        np.savez(tmp_path / "data.npz", **arrays)
        (tmp_path / "bench.yaml").write_text("kind: classification\ndata: {path: data.npz}\nmodel: ./net.py:Net\n")
        expected = torch.from_numpy(arrays["images"]).flatten(1) / 255 @ weight.T + 1
        found = logits_of(path, str(tmp_path / "bench.yaml"))
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(logits_of(path, str(tmp_path / "bench.yaml"), model=name), found)

    @pytest.mark.parametrize(
        ("attributes", "more", "expected"),
        [
            ("image_size = 4", "", (None, (4, 4))),
            ("image_size, channels = (4, 2), 3", "", (3, (4, 2))),
            ("", "\n    def example_inputs(self):\n        return torch.zeros(1, 3, 4, 6)", (3, (4, 6))),
            ("", "\n    def example_inputs(self):\n        return (torch.zeros(1, 1, 8, 8), 5)", (1, (8, 8))),
            ("channels = 2", "\n    def example_inputs(self):\n        return torch.zeros(1, 64)", (2, None)),
        ],
    )
    def test_image_format(self, make, attributes, more, expected):
        path, name, _ = make(attributes=attributes, more=more)
        network = built(path, name)
        assert (network.expects.channels, network.expects.size) == expected

    def test_flat_example_gets_flat_images(self, make):
        example = "\n    def example_inputs(self):\n        return torch.zeros(1, 64)"
        path, name, weight = make(forward="self.layer(pixels)", more=example)
        pixels = torch.rand(2, 1, 8, 8)
        torch.testing.assert_close(built(path, name).logits(pixels), pixels.flatten(1) @ weight.T + 1)

    def test_object_with_logits(self, make):
        forward = "type('Output', (), {'logits': self.layer(pixels.flatten(1))})()"
        path, name, weight = make(forward=forward)
        pixels = torch.rand(2, 1, 8, 8)
        torch.testing.assert_close(built(path, name).logits(pixels), pixels.flatten(1) @ weight.T + 1)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("import nothing_like_this", "the file does not run: ModuleNotFoundError"),
            ("class Nett: pass", r"no class 'Net' \(did you mean 'Nett'"),
            ("class Net: pass", "Net is no torch.nn.Module"),
            ("import torch\nclass Net(torch.nn.Module):\n  def __init__(self, a): pass", "cannot be made without"),
            ("import torch\nclass Net(torch.nn.Module):\n  image_size = 'x'", "image_size must be a number"),
            (
                "import torch\nclass Net(torch.nn.Module):\n  def example_inputs(self): return 3",
                r"example_inputs\(\) must give",
            ),
        ],
    )
    def test_wrong_files(self, make, tmp_path, text, message):
        _, name, _ = make()
        save_file({}, tmp_path / "empty.st")
        (tmp_path / "net.py").write_text(text)
        with pytest.raises(UsageError, match=message):
            built(tmp_path / "empty.st", name)

    @pytest.mark.parametrize(
        ("attributes", "more", "message"),
        [
            ("import sys; sys.exit(3)", "", "the file does not run: SystemExit: 3"),
            ("", "\n    def state_dict(self): return {}\n    __init__ = lambda self: exit(3)", "SystemExit: 3"),
            ("", "\n    def example_inputs(self): raise SystemExit(3)", r"example_inputs\(\) fails: SystemExit: 3"),
        ],
    )
    def test_a_file_that_wants_to_end_the_program(self, make, attributes, more, message):
        path, name, _ = make(attributes=attributes, more=more)
        with pytest.raises(UsageError, match=message):
            built(path, name)

    @pytest.mark.parametrize(
        ("forward", "message"),
        [
            ("{'logits': self.layer(pixels.flatten(1))}", "Net gives dict; a tensor"),
            ("None", "Net gives NoneType; a tensor"),
            ("[1, 2]", "Net gives list; a tensor"),
            ("(self.layer(pixels.flatten(1)),)", "Net gives tuple; a tensor"),
            ("self.layer(pixels.flatten(1))[:1]", r"Net gives outputs \[1, 3\] for 2 images"),
            ("self.layer(pixels.flatten(1)).sum()", r"Net gives outputs \[\] for 2 images"),
            ("exit(3)", r"Net does not run on images \[2, 1, 8, 8\]"),
        ],
    )
    def test_wrong_outputs(self, make, forward, message):
        path, name, _ = make(forward=forward)
        classifier = load_classifier(locate(str(path)).load(), parse_model_name(name, "here"), None, Settings())
        with pytest.raises(MergeError, match=message):
            classifier.logits(torch.rand(2, 1, 8, 8))

    def test_no_such_file(self):
        with pytest.raises(UsageError, match=r"no such file of Python code: nowhere\.py"):
            parse_model_name("nowhere.py:Net", "--model")

    def test_other_weights(self, make):
        path, name, _ = make(inputs=32)
        _, name, _ = make()
        save_file({"layer.weight": torch.zeros(3, 32), "layer.bias": torch.zeros(3)}, path)
        with pytest.raises(MergeError, match=r"Net; 1 of another shape: layer.weight \[3, 32\] for \[3, 64\]"):
            built(path, name)


class TestTransformers:
    def test_pipeline(self, tmp_path):
        from PIL import Image
        from transformers import pipeline

        model = make_classifier(0, num_channels=3)
        model.save_pretrained(tmp_path / "model")
        processor = make_processor(tmp_path / "model")
        arrays = example_arrays(channels=3)
        np.savez(tmp_path / "data.npz", **arrays)
        text = "kind: classification\ndata: {path: data.npz}\nnormalize: {mean: 0.5, std: 0.25}\n"
        (tmp_path / "bench.yaml").write_text(text)
        ours = torch.from_numpy(logits_of(tmp_path / "model", str(tmp_path / "bench.yaml"))).softmax(dim=1)
        classify = pipeline("image-classification", model=model, image_processor=processor)
        for image, probabilities in zip(arrays["images"], ours, strict=True):
            theirs = {row["label"]: row["score"] for row in classify(Image.fromarray(image), top_k=CLASSES)}
            expected = [theirs[f"LABEL_{number}"] for number in range(CLASSES)]
            assert probabilities.tolist() == pytest.approx(expected, abs=1e-5)

    def test_siglip_tower(self, tmp_path):
        model = make_clip(tmp_path / "siglip", sigmoid=True)
        network = built(tmp_path / "siglip", str(tmp_path / "siglip"))
        pixels = PIXELS[:, :, :8, :8]
        with torch.no_grad():
            expected = model.vision_model(pixel_values=pixels).pooler_output
            torch.testing.assert_close(network.features(pixels), expected)

    def test_siglip2_gets_the_patches_of_its_own_processor(self, tmp_path):
        from transformers import Siglip2ImageProcessor, Siglip2VisionConfig, Siglip2VisionModel

        settings = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        torch.manual_seed(0)
        model = Siglip2VisionModel(Siglip2VisionConfig(**settings, patch_size=4, num_patches=9)).eval()
        model.save_pretrained(tmp_path / "model")
        network = built(tmp_path / "model", str(tmp_path / "model"))
        assert network.expects.size == (12, 12)
        images = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 12), dtype=np.uint8)
        processor = Siglip2ImageProcessor(patch_size=4, max_num_patches=9)
        inputs = processor(list(torch.from_numpy(images)), return_tensors="pt")
        with torch.no_grad():
            expected = model(**inputs).pooler_output
            found = network.features((torch.from_numpy(images).float() / 255 - 0.5) / 0.5)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    def test_names_lead_from_tensors_to_parameters(self, tmp_path):
        make_clip(tmp_path / "clip")
        tensors = load_file(tmp_path / "clip" / "model.safetensors")
        tower = {name: tensor for name, tensor in tensors.items() if name.startswith("vis")}
        bare = {name.removeprefix("vision_model."): tensor for name, tensor in tower.items()}
        for content in (tower, bare, tensors):
            save_file(content, tmp_path / "model.st")
            network = built(tmp_path / "model.st", str(tmp_path / "clip"))
            parameters = network.places()
            wanted = {name for name in content if not name.startswith(("text", "logit"))}
            assert set(parameters) == wanted
            for name in wanted:
                assert torch.equal(parameters[name], content[name])
                assert parameters[name].requires_grad is not name.endswith("position_ids")


def test_gradients_reach_the_parameters_and_not_the_checkpoint(tmp_path):
    make_classifier(0).save_pretrained(tmp_path / "model")
    candidate = locate(str(tmp_path / "model")).load()
    before = {name: tensor.clone() for name, tensor in candidate.tensors.items()}
    classifier = load_classifier(candidate, None, None, Settings())
    parameters = classifier.places()
    classifier.forward(torch.rand(2, 1, 8, 8)).sum().backward()
    assert parameters["classifier.bias"].grad.tolist() == [2, 2, 2]
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in candidate.tensors.items())


@pytest.mark.parametrize("name", ["ViT", "DeiT", "Beit", "Swin", "Dinov2", "ConvNext", "ResNet"])
def test_every_tensor_of_an_image_classifier_has_its_place(name, tmp_path):
    import transformers

    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"image_size": 8, "patch_size": 4}
    own = {
        "Swin": {
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "window_size": 1,
            "image_size": 8,
            "patch_size": 2,
        },
        "ConvNext": {"hidden_sizes": [4, 8], "depths": [1, 1], "num_stages": 2},
        "ResNet": {"embedding_size": 4, "hidden_sizes": [4], "depths": [1], "layer_type": "basic"},
    }
    config = getattr(transformers, f"{name}Config")(**own.get(name, sizes), num_channels=1, num_labels=3)
    torch.manual_seed(0)
    getattr(transformers, f"{name}ForImageClassification")(config).save_pretrained(tmp_path / "model")
    candidate = locate(str(tmp_path / "model")).load()
    places = load_classifier(candidate, None, None, Settings()).places()
    floating = {name for name, tensor in candidate.tensors.items() if tensor.is_floating_point()}
    assert set(places) == floating
    assert all(torch.equal(places[name].detach(), candidate.tensors[name]) for name in floating)


@pytest.mark.parametrize(
    ("text", "kind", "name", "detail"),
    [
        ("hf:org/name", "hf", "org/name", "main"),
        ("hf:org/name@v1", "hf", "org/name", "v1"),
        ("timm:resnet18.a1_in1k", "timm", "resnet18.a1_in1k", ""),
        ("open_clip:ViT-B-32", "open_clip", "ViT-B-32", ""),
        ("./clip", "folder", "/bench/clip", ""),
    ],
)
def test_forms(text, kind, name, detail):
    found = parse_model_name(text, "here", Path("/bench"))
    assert (found.kind, found.name, found.detail) == (kind, name, detail)


def test_a_model_flag_of_no_form(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.st")
    np.savez(tmp_path / "data.npz", **example_arrays())
    (tmp_path / "bench.yaml").write_text("kind: classification\ndata: {path: data.npz}\n")
    with pytest.raises(UsageError, match=r"--model: 'tim:x' has no config.json \(give a folder .* timm:NAME"):
        logits_of(tmp_path / "model.st", str(tmp_path / "bench.yaml"), model="tim:x")
