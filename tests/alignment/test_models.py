"""Checkpoints on disk ▸ networks that can be traced, whose groups are proven under the checkpoint's names."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from merge.alignment.derive import derive_groups
from merge.alignment.models import traceable
from merge.alignment.verify import verify_groups
from merge.errors import MergeError, UsageError
from merge.evaluation.locate import locate
from tests.evaluation import tiny_clip, tiny_language_models, tiny_models

OWN = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)
    def forward(self, x):
        return self.last(self.first(x).relu())
class Described(Net):
    def example_inputs(self):
        return (torch.zeros(2, 6) + 0.5,)
class Branching(Described):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x
class Failing(Net):
    def example_inputs(self):
        raise OSError("no example")
class Wordy(Net):
    def example_inputs(self):
        return "2x6"
class Odd(Net):
    def example_inputs(self):
        return torch.zeros(2, 5)
class Sequences(Net):
    def example_inputs(self):
        return torch.randn(2, 4, 6)
    def forward(self, x):
        return super().forward(x).mean(1)
class Named(Sequences):
    def example_inputs(self):
        return {"scale": torch.rand(2, 1), "x": torch.randn(2, 4, 6)}
    def forward(self, x, scale):
        return super().forward(x) * scale
class Ordered(Named):
    def example_inputs(self):
        return [torch.randn(2, 4, 6), torch.rand(2, 1)]
class Sized(Net):
    image_size, channels = (2, 3), 1
    def forward(self, x):
        return super().forward(x.flatten(1))
"""
TOKENS = """
import torch
class Tokens(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.last = torch.nn.Embedding(7, 8), torch.nn.Linear(8, 3)
    def example_inputs(self):
        return torch.arange(12).reshape(2, 6) % 7, torch.ones(2, 6, dtype=torch.bool)
    def forward(self, tokens, mask):
        return self.last((self.words(tokens) * mask.unsqueeze(-1)).sum(1).relu())
"""


def groups_of(path, model=None, shape=None):
    found = traceable(locate(str(path)).load(), model, shape)
    groups = derive_groups(*found)
    assert verify_groups(found.module, found.places, groups, found.inputs).largest <= 1e-5
    return groups, found


def moved(groups):
    return {member.tensor for group in groups.groups.values() for member in group.members}


def saved(module, folder):
    save_file(module.state_dict(), folder / "net.safetensors")
    return folder / "net.safetensors"


@pytest.mark.parametrize("tied", [False, True])
def test_a_llama(tmp_path, tied):
    model = tiny_language_models.make_llama(num_key_value_heads=1, tie_word_embeddings=tied)
    folder = tiny_language_models.save(model, tmp_path)
    groups, _ = groups_of(folder)
    stored = set(load_file(folder / "model.safetensors"))
    assert ("lm_head.weight" in stored) == (not tied)
    assert moved(groups) == stored


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertForSequenceClassification", "BertModel"])
def test_a_bert(tmp_path, architecture):
    folder = tiny_language_models.save(tiny_language_models.make_bert(architecture), tmp_path)
    groups, _ = groups_of(folder)
    assert sum(group.kind == "heads" for group in groups.groups.values()) == 2
    assert ("residual" in groups.groups) == (architecture != "BertModel")  # whose outputs are the residual stream


def test_a_classifier_by_the_last_token_without_padding(tmp_path):
    model = tiny_language_models.make_gpt2("GPT2ForSequenceClassification", num_labels=3)
    groups, found = groups_of(tiny_language_models.save(model, tmp_path))
    assert len(found.inputs["input_ids"]) == 1
    assert moved(groups) == set(load_file(tmp_path / "model.safetensors"))


def test_an_encoder_with_a_decoder(tmp_path):
    folder = tiny_language_models.save(tiny_language_models.make_t5(), tmp_path)
    groups, _ = groups_of(folder)
    biases = {name for name in load_file(folder / "model.safetensors") if "relative_attention_bias" in name}
    assert len(biases) == 2
    assert biases <= moved(groups)  # tables by head move with the heads


def test_a_vision_transformer(tmp_path):
    tiny_models.make_classifier(0).save_pretrained(tmp_path)
    groups, _ = groups_of(tmp_path)
    assert set(load_file(tmp_path / "model.safetensors")) - moved(groups) == {"classifier.bias"}


@pytest.mark.parametrize("sigmoid", [False, True])
def test_both_towers(tmp_path, sigmoid):
    tiny_clip.make_clip(tmp_path, sigmoid=sigmoid)
    groups, _ = groups_of(tmp_path)
    assert {"residual.0", "residual.1"} <= set(groups.groups)
    assert {name.partition(".")[0] for name in moved(groups)} >= {"text_model", "vision_model"}


def test_the_image_tower_alone(tmp_path):
    tiny_clip.make_clip(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    image = {name: tensor for name, tensor in tensors.items() if name.startswith("vis")}
    save_file(image, tmp_path / "model.safetensors")
    groups, _ = groups_of(tmp_path)
    assert "residual" in groups.groups
    assert moved(groups) <= set(image)


def test_open_clip_whole_and_its_image_tower(tmp_path):
    model = tiny_clip.make_open_clip(tmp_path)
    name = f"open_clip:{tiny_clip.OPEN_CLIP_NAME}"
    whole, _ = groups_of(tmp_path / "open_clip.safetensors", name)
    assert {"token_embedding.weight", "visual.proj"} <= moved(whole)
    tower = {f"visual.{name}": tensor for name, tensor in model.visual.state_dict().items()}
    save_file(tower, tmp_path / "tower.safetensors")
    groups, _ = groups_of(tmp_path / "tower.safetensors", name)
    assert moved(groups) == set(tower)


def test_timm(tmp_path):
    import timm

    path = saved(timm.create_model("convnext_atto", num_classes=4, depths=(2, 2, 6, 2)), tmp_path)
    groups, found = groups_of(path, "timm:convnext_atto", (2, 3, 32, 32))
    assert found.inputs[0].shape == (2, 3, 32, 32)
    assert len(groups.groups) == 16


@pytest.mark.parametrize(("name", "shape"), [("Net", (1, 6)), ("Described", None), ("Described", (3, 6))])
def test_a_class_of_the_users_own(tmp_path, name, shape):
    (tmp_path / "own.py").write_text(OWN)
    tensors = {"first.weight": torch.randn(8, 6), "first.bias": torch.randn(8)}
    save_file(tensors | {"last.weight": torch.randn(3, 8), "last.bias": torch.randn(3)}, tmp_path / "a.safetensors")
    groups, found = groups_of(tmp_path / "a.safetensors", f"{tmp_path / 'own.py'}:{name}", shape)
    assert tuple(found.inputs[0].shape) == (shape or (2, 6))
    assert {str(member) for member in groups.groups["mlp.0"].members} == {
        "first.weight:0",
        "first.bias:0",
        "last.weight:1",
    }


def own_candidate(folder):
    (folder / "own.py").write_text(OWN)
    tensors = {"first.weight": torch.randn(8, 6), "first.bias": torch.randn(8)}
    save_file(tensors | {"last.weight": torch.randn(3, 8), "last.bias": torch.randn(3)}, folder / "a.safetensors")
    return locate(str(folder / "a.safetensors")).load()


@pytest.mark.parametrize(
    ("name", "shape", "shapes"),
    [
        ("Sequences", None, [(2, 4, 6)]),
        ("Sequences", (3, 5, 6), [(3, 5, 6)]),
        ("Named", None, [(2, 1), (2, 4, 6)]),
        ("Ordered", None, [(2, 4, 6), (2, 1)]),
        ("Sized", None, [(2, 1, 2, 3)]),
    ],
)
def test_a_class_that_reads_something_else_than_images(tmp_path, name, shape, shapes):
    own_candidate(tmp_path)
    groups, found = groups_of(tmp_path / "a.safetensors", f"{tmp_path / 'own.py'}:{name}", shape)
    inputs = found.inputs.values() if isinstance(found.inputs, dict) else found.inputs
    assert [tuple(one.shape) for one in inputs] == shapes
    assert moved(groups) == {"first.weight", "first.bias", "last.weight"}


def test_a_class_that_reads_tokens_and_a_mask(tmp_path):
    (tmp_path / "own.py").write_text(TOKENS)
    tensors = {"words.weight": torch.randn(7, 8), "last.weight": torch.randn(3, 8), "last.bias": torch.randn(3)}
    save_file(tensors, tmp_path / "a.safetensors")
    groups, found = groups_of(tmp_path / "a.safetensors", f"{tmp_path / 'own.py'}:Tokens")
    assert [one.dtype for one in found.inputs] == [torch.int64, torch.bool]
    assert moved(groups) == {"words.weight", "last.weight"}


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("Failing", None, r"own\.py: example_inputs\(\) fails: OSError: no example"),
        ("Wordy", None, r"example_inputs\(\) must give a tensor, several in a tuple"),
        ("Odd", None, r"Odd does not run on 2x5: .*example_inputs\(\) must give what forward\(\) takes"),
        ("Net", (6, 2), r"Net does not run on 6x2: .*shape with the batch: --input-shape"),
        ("Net", None, r"nothing says what Net reads .*--input-shape .*example_inputs\(\) in the class"),
    ],
)
def test_a_class_that_does_not_say_what_it_reads(tmp_path, name, shape, message):
    candidate = own_candidate(tmp_path)
    with pytest.raises(UsageError, match=message) as error:
        traceable(candidate, f"{tmp_path / 'own.py'}:{name}", shape)
    assert "--groups" not in str(error.value)


def test_where_a_trace_breaks_is_said_in_one_line(tmp_path, capfd, caplog):
    candidate = own_candidate(tmp_path)
    found = traceable(candidate, f"{tmp_path / 'own.py'}:Branching")
    place = r"Branching cannot be traced \(own\.py, line 14: return super\(\)\.forward\(x\) if x\.sum\(\) > 0 else x\)"
    with pytest.raises(MergeError, match=rf"a\.safetensors: {place}: .*depends on the values .*--groups FILE"):
        derive_groups(*found, where="a.safetensors")
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def make_resnet(folder):
    from transformers import ResNetConfig, ResNetForImageClassification

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 2], "layer_type": "basic", "num_labels": 3}
    ResNetForImageClassification(ResNetConfig(**sizes)).save_pretrained(folder)


def test_images_of_a_size_that_nothing_says(tmp_path):
    make_resnet(tmp_path)
    candidate, notes = locate(str(tmp_path)).load(), []
    assert tuple(traceable(candidate, None, note=notes.append).inputs[0].shape) == (2, 3, 224, 224)
    assert notes == [
        "nothing says what size of images ResNetForImageClassification reads: it is run on 2x3x224x224",
    ]
    groups, found = groups_of(tmp_path, None, (1, 3, 48, 48))
    assert tuple(found.inputs[0].shape) == (1, 3, 48, 48)
    assert "embedder.embedder.convolution.weight" in {name.removeprefix("resnet.") for name in moved(groups)}
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 64}}')
    found = traceable(candidate, None, note=notes.append)
    assert tuple(found.inputs[0].shape) == (2, 3, 64, 64)
    assert len(notes) == 1


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 1, 64, 64), (1, 64)])
def test_a_shape_of_no_images(tmp_path, shape):
    make_resnet(tmp_path)
    message = r"reads images, \[batch, channels, height, width\], not .*--input-shape 2x3x224x224"
    with pytest.raises(UsageError, match=message):
        traceable(locate(str(tmp_path)).load(), None, shape)


def test_a_shape_for_texts_is_refused(tmp_path):
    folder = tiny_language_models.save(tiny_language_models.make_llama(), tmp_path)
    with pytest.raises(UsageError, match="this model reads texts"):
        traceable(locate(str(folder)).load(), None, (2, 8))


def test_a_folder_of_timm(tmp_path):
    import timm
    from timm.models import save_for_hf

    options = {"depth": 2, "img_size": 32, "embed_dim": 24, "num_heads": 2}
    module = timm.create_model("test_vit", num_classes=4, **options)
    save_for_hf(module, str(tmp_path), model_args=options, safe_serialization=True)
    groups, found = groups_of(tmp_path)
    assert tuple(found.inputs[0].shape) == (2, 3, 32, 32)
    assert {"heads.0", "heads.1"} <= set(groups.groups)


def test_a_checkpoint_that_does_not_fit_its_architecture(tmp_path):
    folder = tiny_language_models.save(tiny_language_models.make_llama(), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(MergeError, match=r"missing: model\.layers\.2"):
        traceable(locate(str(folder)).load(), None)
