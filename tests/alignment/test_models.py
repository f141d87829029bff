"""Checkpoints on disk ▸ networks that can be traced, whose groups are proven under the checkpoint's names."""

from __future__ import annotations

import json

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


def test_a_class_that_does_not_say_what_it_reads(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    tensors = {"first.weight": torch.randn(8, 6), "first.bias": torch.randn(8)}
    save_file(tensors | {"last.weight": torch.randn(3, 8), "last.bias": torch.randn(3)}, tmp_path / "a.safetensors")
    candidate = locate(str(tmp_path / "a.safetensors")).load()
    with pytest.raises(UsageError, match="--input-shape 1x64"):
        traceable(candidate, f"{tmp_path / 'own.py'}:Net")
    found = traceable(candidate, f"{tmp_path / 'own.py'}:Branching")
    with pytest.raises(MergeError, match=r"a\.safetensors: .* cannot be traced \(own\.py, line 14\)"):
        derive_groups(*found, where="a.safetensors")
    with pytest.raises(MergeError, match="cannot be traced"):
        derive_groups(*traceable(candidate, f"{tmp_path / 'own.py'}:Net", (2, 5)))


def test_a_checkpoint_that_does_not_fit_its_architecture(tmp_path):
    folder = tiny_language_models.save(tiny_language_models.make_llama(), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(MergeError, match=r"missing: model\.layers\.2"):
        traceable(locate(str(folder)).load(), None)
