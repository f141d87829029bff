"""Networks that see, as calibration runs them: with classes, with the head of the data, and with none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation.tiny_clip import OPEN_CLIP_NAME, make_clip, make_open_clip
from evaluation.tiny_models import CLASSES, example_arrays, make_classifier, make_clip_config
from safetensors.torch import save_file

from merge.calibration.data import read_data
from merge.errors import MergeError, UsageError
from merge.evaluation.locate import locate
from merge.evaluation.task import Settings

SETTINGS = Settings()
OWN = """
import torch
class Own(torch.nn.Module):
    channels, image_size = 1, 8
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 3)
    def forward(self, pixels):
        return self.layer(pixels.flatten(1))
"""


def subject_of(model: Path | str, data: Path | str, settings: Settings = SETTINGS) -> tuple[Any, Any]:
    """A model's subject, and a sample of four items for it."""
    described = read_data(str(data))
    subject = described.subject(locate(str(model)).load(), settings)
    return subject, described.sample(subject, 4, "first", settings)


def write(folder: Path, text: str, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **(arrays or example_arrays()))
    (folder / "data.yaml").write_text(text)
    return folder / "data.yaml"


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    make_classifier(0).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    np.savez(tmp_path / "digits8.npz", **example_arrays())
    return tmp_path / "digits8.npz"


def check_places(subject: Any, model: Path) -> None:
    """Every floating tensor has a place, of its values, that shares no memory with the checkpoint."""
    tensors = dict(locate(str(model)).load().tensors)
    places = subject.places()
    assert set(places) == {name for name, tensor in tensors.items() if tensor.is_floating_point()}
    for name, place in places.items():
        assert torch.equal(place, tensors[name]), name
    assert all(parameter.requires_grad for parameter in subject.module.parameters())
    assert not subject.module.training


def test_classifier(vit: Path, arrays: Path) -> None:
    subject, sample = subject_of(vit, arrays)
    check_places(subject, vit)
    (batch,) = sample.batches(8)
    assert subject.predicts == "classes"
    assert batch.labels.tolist() == [0, 1, 2, 0]
    pixels = torch.from_numpy(example_arrays()["images"][:4, None]).float() / 255
    expected = make_classifier(0)(pixel_values=pixels).logits
    torch.testing.assert_close(subject.logits(batch.inputs), expected)
    subject.logits(batch.inputs).sum().backward()
    assert subject.places()["classifier.weight"].grad is not None


def test_weights_that_are_written_change_the_network_and_not_the_checkpoint(vit: Path, arrays: Path) -> None:
    data = read_data(str(arrays))
    candidate = locate(str(vit)).load()
    subject = data.subject(candidate, SETTINGS)
    (batch,) = data.sample(subject, 4, "first", SETTINGS).batches(8)
    before = subject.logits(batch.inputs)
    with torch.no_grad():
        subject.places()["classifier.bias"].add_(1)
    torch.testing.assert_close(subject.logits(batch.inputs), before + 1)
    assert torch.equal(candidate.tensors["classifier.bias"], make_classifier(0).classifier.bias)


def test_batches_begin_anywhere(vit: Path, arrays: Path) -> None:
    data = read_data(str(arrays))
    subject = data.subject(locate(str(vit)).load(), SETTINGS)
    sample = data.sample(subject, 7, "random", SETTINGS)
    whole = torch.cat([batch.inputs["pixels"] for batch in sample.batches(3)])
    assert [len(batch) for batch in sample.batches(3)] == [3, 3, 1]
    rest = [batch.inputs["pixels"] for batch in sample.batches(3, 2)]
    assert torch.equal(torch.cat(rest), whole[2:])
    assert not list(sample.batches(3, 7))


def test_tower_without_a_head_runs_and_predicts_nothing(projected: Path, tmp_path: Path) -> None:
    subject, sample = subject_of(projected, write(tmp_path, "kind: classification\ndata: {path: data.npz}\n"))
    (batch,) = sample.batches(4)
    seen = []
    handle = subject.module.register_forward_hook(lambda *arguments: seen.append(1))
    subject.run(batch.inputs)
    handle.remove()
    assert seen == [1]
    assert subject.predicts == "nothing"
    with pytest.raises(MergeError, match="predicts nothing: it has no head"):
        subject.logits(batch.inputs)


@pytest.fixture
def projected(tmp_path: Path) -> Path:
    from transformers import CLIPVisionModelWithProjection

    torch.manual_seed(0)
    CLIPVisionModelWithProjection(make_clip_config()).save_pretrained(tmp_path / "projected")
    return tmp_path / "projected"


def test_fixed_head_of_the_data(projected: Path, tmp_path: Path) -> None:
    weight = torch.randn(CLASSES, 4)
    save_file({"mine": weight}, tmp_path / "heads.safetensors")
    text = "kind: classification\ndata: {path: data.npz}\nhead: heads.safetensors#mine\n"
    subject, sample = subject_of(projected, write(tmp_path, text))
    (batch,) = sample.batches(4)
    features = subject.module(pixel_values=batch.inputs["pixels"]).image_embeds
    assert subject.predicts == "classes"
    torch.testing.assert_close(subject.logits(batch.inputs), features @ weight.T)


def test_a_head_that_is_not_there_is_demanded_of_predictions_alone(projected: Path, tmp_path: Path) -> None:
    save_file({"mine": torch.randn(CLASSES, 4)}, tmp_path / "heads.safetensors")
    text = "kind: classification\ndata: {path: data.npz}\nhead: heads.safetensors#min\n"
    subject, sample = subject_of(projected, write(tmp_path, text))
    (batch,) = sample.batches(4)
    subject.run(batch.inputs)
    with pytest.raises(UsageError, match=r"no tensor 'min'.*did you mean 'mine'"):
        subject.logits(batch.inputs)


ZERO_SHOT = "kind: zero-shot\ndata: {path: data.npz}\nclasses: [a, b, c]\ntemplates: ['x {}']\n"


def test_clip_under_the_head_of_its_own_text_tower(tmp_path: Path) -> None:
    model = make_clip(tmp_path / "clip")
    subject, sample = subject_of(tmp_path / "clip", write(tmp_path, ZERO_SHOT))
    tensors = locate(str(tmp_path / "clip")).load().tensors
    assert set(subject.places()) == {name for name in tensors if name.startswith(("vision_model.", "visual_proj"))}
    (batch,) = sample.batches(4)
    assert sample.about["normalize"]["std"] == [0.25] * 3  # of the processor beside the weights
    logits = subject.logits(batch.inputs)
    from transformers import CLIPTokenizer

    words = CLIPTokenizer.from_pretrained(tmp_path / "clip")(["x a", "x b", "x c"], return_tensors="pt", padding=True)
    expected = model(**words, pixel_values=batch.inputs["pixels"]).logits_per_image
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_image_tower_takes_the_projection_of_the_model_that_makes_its_head(tmp_path: Path) -> None:
    model = make_clip(tmp_path / "clip")
    tower = tmp_path / "tower"
    tower.mkdir()
    (tower / "config.json").write_text((tmp_path / "clip/config.json").read_text())
    vision = {name: t for name, t in model.state_dict().items() if name.startswith("vision_model.")}
    save_file(vision, tower / "model.safetensors")
    subject, sample = subject_of(tower, write(tmp_path, ZERO_SHOT + "model: clip\n"))
    whole, of_whole = subject_of(tmp_path / "clip", write(tmp_path, ZERO_SHOT + "normalize: {mean: .48, std: .27}\n"))
    (batch,) = sample.batches(4)
    assert len(of_whole) == 4
    torch.testing.assert_close(subject.logits(batch.inputs), whole.logits(batch.inputs))


def test_open_clip_has_the_checkpoints_names(tmp_path: Path) -> None:
    model = make_open_clip(tmp_path)
    settings = replace(SETTINGS, model=f"open_clip:{OPEN_CLIP_NAME}")
    subject, sample = subject_of(tmp_path / "open_clip.safetensors", write(tmp_path, ZERO_SHOT), settings)
    (batch,) = sample.batches(4)
    assert subject.places()
    assert all(name.startswith("visual.") for name in subject.places())
    assert torch.equal(subject.places()["visual.proj"], model.visual.proj)
    assert subject.logits(batch.inputs).shape == (4, 3)


def test_own_class(tmp_path: Path, arrays: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    weights = {"layer.weight": torch.randn(3, 64), "layer.bias": torch.randn(3)}
    save_file(weights, tmp_path / "own.safetensors")
    settings = replace(SETTINGS, model=f"{tmp_path / 'own.py'}:Own")
    subject, sample = subject_of(tmp_path / "own.safetensors", arrays, settings)
    (batch,) = sample.batches(4)
    assert set(subject.places()) == set(weights)
    expected = batch.inputs["pixels"].flatten(1) @ weights["layer.weight"].T + weights["layer.bias"]
    torch.testing.assert_close(subject.logits(batch.inputs), expected)


def test_timm(tmp_path: Path, arrays: Path) -> None:
    import timm

    model = timm.create_model("resnet10t", num_classes=3, in_chans=1)
    save_file(model.state_dict(), tmp_path / "timm.safetensors")
    settings = replace(SETTINGS, model="timm:resnet10t")
    data = read_data(str(arrays))
    subject = data.subject(locate(str(tmp_path / "timm.safetensors")).load(), settings)
    names = dict(model.named_parameters()) | dict(model.named_buffers())
    assert set(subject.places()) == set(names)
    assert subject.predicts == "classes"


def test_timms_own_normalization(tmp_path: Path) -> None:
    """For images that are named without a benchmark; a benchmark that says nothing means [0, 1]."""
    import timm

    model = timm.create_model("resnet10t", num_classes=3)
    save_file(model.state_dict(), tmp_path / "timm.safetensors")
    described = write(
        tmp_path,
        "kind: classification\ndata: {path: data.npz}\n",
        images=np.zeros((4, 176, 176, 3), np.uint8),
        labels=np.arange(4) % 3,
    )
    settings = replace(SETTINGS, model="timm:resnet10t")
    _, named = subject_of(tmp_path / "timm.safetensors", tmp_path / "data.npz", settings)
    _, of_benchmark = subject_of(tmp_path / "timm.safetensors", described, settings)
    assert named.about["normalize"] == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    assert of_benchmark.about["normalize"] == {"mean": [0.0], "std": [1.0]}


def test_the_normalization_of_a_repository_of_the_hub(
    vit: Path, arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (vit / "preprocessor_config.json").write_text('{"image_mean": [0.4], "image_std": [0.3]}')
    (tmp_path / "bare").mkdir()
    (vit / "model.safetensors").rename(tmp_path / "bare" / "model.safetensors")
    monkeypatch.setattr("merge.evaluation.hub.fetch_settings", lambda name, needed: {"org/vit@tuned": vit}[name])
    settings = replace(SETTINGS, model="hf:org/vit@tuned")
    _, sample = subject_of(tmp_path / "bare", arrays, settings)
    assert sample.about["normalize"] == {"mean": [0.4], "std": [0.3]}


def test_tensors_without_a_place_of_their_own_are_left_out(vit: Path, arrays: Path) -> None:
    """Where a library puts a parameter together at load, it has no name in the checkpoint."""
    from merge.evaluation.networks.weights import trace_names

    class Joined(torch.nn.Module):
        def __init__(self, tensors: Any) -> None:
            super().__init__()
            self.both = torch.nn.Parameter(torch.cat([tensors["a"], tensors["b"]]))
            self.alone = torch.nn.Parameter(tensors["c"])

    tensors = {name: torch.randn(2, 2) for name in "abc"}
    assert trace_names(Joined, tensors, where="model", lenient=True) == {"c": "alone"}
    with pytest.raises(MergeError, match="rearranges its tensors"):
        trace_names(Joined, tensors, where="model")


def test_texts_only_model_is_refused(tmp_path: Path, arrays: Path) -> None:
    from evaluation.tiny_language_models import make_bert, save

    model = save(make_bert("BertForSequenceClassification"), tmp_path / "bert")
    with pytest.raises(UsageError, match="BertForSequenceClassification reads texts, but the data 'digits8' is images"):
        subject_of(model, arrays)


def test_wrong_channels_are_refused_before_anything_runs(vit: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "rgb.npz", **example_arrays(channels=3))
    with pytest.raises(UsageError, match=r"rgb.npz: the images have 3 channels, the model takes 1 \(model .*vit\)"):
        subject_of(vit, tmp_path / "rgb.npz")


def test_what_was_transposed_at_load_is_left_out() -> None:
    """Its numbers are all there, but what is learned of it would not fit the checkpoint."""
    from merge.calibration.feeds.placing import places_in

    module = torch.nn.Linear(2, 2)
    names = {"w": "weight", "b": "bias"}
    tensors = {"w": module.weight.detach().clone(), "b": module.bias.detach().to(torch.bfloat16)}
    with torch.no_grad():
        module.bias.copy_(tensors["b"])
    assert set(places_in(module, names, tensors)) == {"w", "b"}
    assert set(places_in(module, names, {**tensors, "w": tensors["w"].T})) == {"b"}
