"""Templates: groups of known families by names alone hold for real models, and are those that a trace finds."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import save
from equivalence import difference, perturbed, saved, shapes_of, without
from families import FAMILIES, IMAGES, ROWS, WORDS, run
from torch import nn

from merge.alignment.groups import Group, Groups, Member
from merge.alignment.groups_file import parse_groups, render_groups
from merge.alignment.templates import groups_by_names, groups_of
from merge.alignment.validation import check, coverage
from merge.checkpoints.resolve import open_checkpoint
from merge.errors import UsageError

TOLERANCE = 1e-5  # some normalise in float32, whatever the model's type

Built = tuple[nn.Module, Mapping[str, Any], dict[str, torch.Tensor]]


def build(name: str) -> Built:
    torch.manual_seed(0)
    module, config = FAMILIES[name].make()
    module = perturbed(module)
    return module, config, saved(module)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_reordered_model_computes_the_same(name: str) -> None:
    module, config, state = build(name)
    groups = groups_by_names(shapes_of(state), config).groups
    assert len(groups.groups) == FAMILIES[name].groups
    compute = lambda module: run(module, FAMILIES[name].inputs)  # noqa: E731
    for seed, names in enumerate([*([one] for one in groups.groups), list(groups.groups)]):
        assert difference(module, compute, groups, names, seed) < TOLERANCE, names


@pytest.mark.parametrize("name", FAMILIES)
def test_all_but_outputs_and_single_numbers_move(name: str) -> None:
    _, config, state = build(name)
    groups = groups_by_names(shapes_of(state), config).groups
    floating = {name: tuple(tensor.shape) for name, tensor in state.items() if tensor.is_floating_point()}
    uncovered = coverage(groups, floating).uncovered
    stays = FAMILIES[name].stays
    assert all(any(fnmatch.fnmatchcase(left, glob) for glob in stays) for left in uncovered)
    assert all(fnmatch.filter(uncovered, glob) for glob in stays)
    pinned = {axis.rpartition(":")[0] for axis in groups.pinned}
    assert {left for left in uncovered if floating[left]} <= pinned


@pytest.mark.parametrize("name", FAMILIES)
def test_templates_can_be_written_and_read(name: str) -> None:
    _, config, state = build(name)
    shapes = shapes_of(state)
    groups = groups_by_names(shapes, config).groups
    again = parse_groups(render_groups(groups, shapes), shapes, "again.yaml")
    assert units(again, shapes) == units(groups, shapes)


@pytest.mark.parametrize("name", ["llama", "gpt2", "resnet-grouped", "bert-words", "vgg"])
def test_every_member_is_needed(name: str) -> None:
    """Leaving out any member breaks the model, so that the test above sees what is missing."""
    module, config, state = build(name)
    groups = groups_by_names(shapes_of(state), config).groups
    compute = lambda module: run(module, FAMILIES[name].inputs)  # noqa: E731
    for group in groups.groups.values():
        for number, member in enumerate(group.members):
            if _adds_to_all_scores(member):
                continue
            fewer = Groups({**groups.groups, group.name: without(group, number)})
            assert difference(module, compute, fewer, [group.name]) > 10 * TOLERANCE, (group.name, str(member))


def _adds_to_all_scores(member: Member) -> bool:
    """Tell whether these are the keys' biases, which raise all scores of a query by the same."""
    return "key.bias" in member.tensor or (member.tensor.endswith("c_attn.bias") and member.offset == 48)


def units(groups: Groups, shapes: Mapping[str, tuple[int, ...]]) -> set[Any]:
    """Return every group as the entries of axes that make up its units, which does not depend on how it is written."""
    return {
        (group.kind, frozenset(frozenset(found) for found in _units(group, shapes))) for group in groups.groups.values()
    }


def _units(group: Group, shapes: Mapping[str, tuple[int, ...]]) -> list[set[tuple[str, int, int]]]:
    found: list[set[tuple[str, int, int]]] = [set() for _ in range(group.size)]
    for member in group.members:
        if member.tensor not in shapes:
            continue  # another name of a tied tensor
        places = torch.arange(member.length).reshape(member.sizes) + member.offset
        for unit, entries in zip(found, places.unbind(member.factor), strict=True):
            unit |= {(member.tensor, member.axis, int(place)) for place in entries.flatten()}
    return found


# What a trace finds besides: register tokens change places with their positions; what is known to be no group norm.
MORE_TRACED = {"timm-vit-more": 1, "group-norm": 2}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_groups_are_those_that_a_trace_finds(name: str) -> None:
    from merge.alignment.derive import derive_groups

    module, config, state = build(name)
    if hasattr(module, "config"):
        module.config.use_cache = False
    shapes = shapes_of(state)
    template = groups_by_names(shapes, config).groups
    traced = derive_groups(module, module.state_dict(), FAMILIES[name].inputs)
    entries = [{group for _, group in units(groups, shapes)} for groups in (template, traced)]
    assert not entries[0] - entries[1]
    assert len(entries[1] - entries[0]) == MORE_TRACED.get(name, 0)


def refused(state: Mapping[str, torch.Tensor], config: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        groups_by_names(shapes_of(state), config, where="a.st")
    return str(raised.value)


def test_unknown_families_are_refused() -> None:
    told = "a.st: the tensors' names and shapes are those of no known family"
    for module in (
        nn.LSTM(3, 4),
        nn.Sequential(nn.Linear(12, 9)),
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 3, 1)),
        nn.ModuleList([nn.ModuleDict({"a": nn.Linear(9, 9), "b": nn.Linear(9, 9)}) for _ in range(2)]),
        nn.ModuleDict({"encoder": nn.Linear(12, 4), "decoder": nn.Linear(4, 12)}),  # two orders fit
        nn.ModuleDict({"fc1": nn.Linear(4, 6), "fc2": nn.Linear(7, 3)}),
        nn.ModuleDict({"conv1": nn.Conv2d(3, 6, 3), "fc1": nn.Linear(6, 6), "bn1": nn.BatchNorm2d(6)}),
    ):
        message = refused(module.state_dict())
        assert message.startswith(told)
        assert "--model" in message
        assert "--groups" in message


@pytest.mark.parametrize(
    ("name", "more", "problem"),
    [
        ("resnet-basic", {"layer1.0.se.fc1.weight": (4, 8)}, "a ResNet .* but 'layer1.0.se.fc1.weight' is none of its"),
        ("timm-vit", {"blocks.0.extra.weight": (48,)}, "timm's vision transformers, but 'blocks.0.extra.weight'"),
        ("timm-vit", {"blocks.1.mlp.fc2.weight": (48, 90)}, "has 90 units, and the group 192"),
        ("timm-vit", {"blocks.1.norm2.weight": (40,)}, "has 40 units, and the group 48"),
        ("llama", {"model.layers.1.self_attn.sinks": (6,)}, "'model.layers.1.self_attn.sinks' is none of its tensors"),
        ("resnet-basic", {"layer2.0.conv2.weight": (16, 12, 3, 3)}, "has 16 units, and the group 12"),
        ("resnet-basic", {"layer1.0.convs.0.weight": (4, 4, 3, 3)}, "'layer1.0.convs.0.weight' is none of its tensors"),
    ],
)
def test_what_a_template_does_not_know_is_refused(name: str, more: dict[str, tuple[int, ...]], problem: str) -> None:
    _, config, state = build(name)
    with pytest.raises(UsageError, match=problem):
        groups_by_names(shapes_of(state) | more, config)


def test_resnets_that_normalise_in_groups_of_channels_are_refused() -> None:
    _, _, state = build("resnet-basic")
    message = refused({name: tensor for name, tensor in state.items() if "running" not in name})
    assert "a ResNet" in message
    assert "may be over groups of channels" in message


def test_resnets_with_other_blocks_are_refused() -> None:
    _, _, state = build("resnet-bottleneck")
    assert "'layer1.0.conv2.weight" in refused({name: t for name, t in state.items() if "layer1.0.conv2" not in name})


@pytest.mark.parametrize("name", ["timm-vit", "hf-vit", "bert-classifier", "gpt2", "llama", "hf-clip", "open-clip"])
def test_without_a_configuration_heads_stay(name: str) -> None:
    module, _, state = build(name)
    groups, notes = groups_by_names(shapes_of(state))
    assert {group.kind for group in groups.groups.values()} <= {"residual", "mlp", "other"}
    assert any("heads stay as they are, since the number of heads is not known" in note for note in notes)
    assert "the number of heads is not known" in groups.pinned.values()
    compute = lambda module: run(module, FAMILIES[name].inputs)  # noqa: E731
    assert difference(module, compute, groups, list(groups.groups)) < TOLERANCE


@pytest.mark.parametrize("heads", [5, 0, -3, True, "3", None, 3.0])
def test_impossible_numbers_of_heads_are_not_used(heads: object) -> None:
    _, _, state = build("hf-vit")
    groups = groups_by_names(shapes_of(state), {"num_attention_heads": heads}).groups
    assert not [group for group in groups.groups.values() if group.kind == "heads"]


def test_what_the_name_of_an_architecture_tells() -> None:
    """timm's configurations have no number of heads; a name without rotary places lets units of queries move."""
    from timm import create_model

    with torch.device("meta"):
        shapes = shapes_of(create_model("vit_tiny_patch16_224").state_dict())
    named = groups_by_names(shapes, {"architecture": "vit_tiny_patch16_224"}).groups
    assert (named.groups["heads.11"].size, named.groups["heads.11.qk"].size) == (3, 64)
    other = groups_by_names(shapes, {"architecture": "vit_pe_spatial_tiny_patch16_512", "num_heads": 3})
    assert "heads.11.vo" in other.groups.groups
    assert not [name for name in other.groups.groups if name.endswith("qk")]


def test_rotary_places_leave_no_trace_in_names() -> None:
    """timm's Eva has the names of a ViT: what holds for both is what the template says."""
    from timm.models.eva import Eva

    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 5}
    module = perturbed(Eva(**sizes, use_rot_pos_emb=True, qkv_bias=False, swiglu_mlp=False))
    state = saved(module)
    groups = groups_by_names(shapes_of(state), {"num_heads": 3, "architecture": "vit_pe_spatial_tiny"}).groups
    assert "heads.0" in groups.groups
    assert difference(module, lambda module: run(module, (IMAGES,)), groups, list(groups.groups)) < TOLERANCE


@pytest.mark.parametrize("known", [True, False])
def test_gains_of_all_heads_at_once_do_not_tell_the_size_of_heads(known: bool) -> None:
    _, config, state = build("llama-all-heads")
    gains = {f"model.layers.{layer}.self_attn.{kind}_norm.weight": torch.rand(48) for layer in (0, 1) for kind in "qk"}
    groups = groups_by_names(shapes_of(state | gains), config if known else None).groups
    assert set(groups.groups) == {"residual", "mlp.0", "mlp.1"}


def test_scales_of_heads_are_not_the_scale_of_both_towers() -> None:
    """open_clip's cosine attention has a tensor of this name in every block, with a number for each head."""
    _, config, state = build("open-clip")
    state["visual.transformer.resblocks.0.attn.logit_scale"] = torch.rand(3, 1, 1)
    assert "'visual.transformer.resblocks.0.attn.logit_scale' is none of its tensors" in refused(state, config)


def test_gains_of_queries_tell_the_size_of_heads() -> None:
    _, config, state = build("qwen3")
    shapes = shapes_of(state)
    assert units(groups_by_names(shapes).groups, shapes) == units(groups_by_names(shapes, config).groups, shapes)


@pytest.mark.parametrize(
    ("model", "config", "inputs"),
    [
        ("ViTModel", "hf-vit", IMAGES),
        ("BertModel", "bert-words", WORDS),
        ("GPT2Model", "gpt2", WORDS),
        ("LlamaModel", "llama", WORDS),
        ("CLIPVisionModel", "hf-clip-image", IMAGES),
    ],
)
def test_a_stream_that_is_given_out_stays(model: str, config: str, inputs: torch.Tensor) -> None:
    import transformers

    torch.manual_seed(0)
    whole, settings = FAMILIES[config].make()
    module = perturbed(getattr(transformers, model)(whole.config))
    groups, notes = groups_by_names(shapes_of(saved(module)), dict(settings) | {"architectures": [model]})
    assert not [group for group in groups.groups.values() if group.kind == "residual"]
    assert any("is what the model gives out" in note for note in notes)
    assert difference(module, lambda module: run(module, (inputs,)), groups, list(groups.groups)) < TOLERANCE


def test_older_names_of_vit() -> None:
    """transformers before its fifth version had other names for the same tensors."""
    _, config, state = build("hf-vit")
    renamed = {_older(name): tensor for name, tensor in state.items()}
    older, newer = (groups_by_names(shapes_of(tensors), config).groups for tensors in (renamed, state))
    found = {(kind, frozenset(frozenset((_older(t), a, i) for t, a, i in unit) for unit in group))
             for kind, group in units(newer, shapes_of(state))}  # fmt: skip
    assert units(older, shapes_of(renamed)) == found


def _older(name: str) -> str:
    for new, old in (
        ("vit.layers.", "vit.encoder.layer."),
        ("attention.o_proj", "attention.output.dense"),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):
        name = name.replace(new, old)
    return name


def test_units_of_rotated_queries_do_not_move() -> None:
    """Moving units within the heads of queries and keys, as without rotary places, breaks a Llama."""
    module, config, state = build("llama")
    groups = groups_by_names(shapes_of(state), config).groups
    block = "model.layers.0.self_attn."
    members = (Member(f"{block}q_proj.weight", 0, (2, 3, 8), 2), Member(f"{block}k_proj.weight", 0, (2, 8), 1))
    wrong = Groups({**groups.groups, "wrong": Group("wrong", 8, members, "within-heads", "heads.0")})
    check(wrong, shapes_of(state))
    assert difference(module, lambda module: run(module, (WORDS,)), wrong, ["wrong"]) > 100 * TOLERANCE


def test_classes_do_not_move() -> None:
    module, _, _ = build("mlp")
    members = (Member("4.weight", 0, (5,)), Member("4.bias", 0, (5,)))
    wrong = Groups({"classes": Group("classes", 5, members)})
    assert difference(module, lambda module: run(module, (ROWS,)), wrong, ["classes"]) > 100 * TOLERANCE


def test_both_names_of_a_tied_tensor() -> None:
    """A checkpoint may hold the embeddings twice; both move alike."""
    module, config, _ = build("gpt2")
    state = dict(module.state_dict())
    assert "lm_head.weight" in state
    residual = groups_by_names(shapes_of(state), config).groups.groups["residual"]
    assert {"lm_head.weight:1", "transformer.wte.weight:1"} <= set(map(str, residual.members))


@pytest.mark.parametrize("known", [True, False])
def test_a_classifier_of_tokens_beside_a_pooler_that_it_does_not_read(known: bool) -> None:
    """Older checkpoints hold such a pooler; without a configuration the groups must hold whichever it reads."""
    module, config, state = build("bert-tokens")
    state |= {"bert.pooler.dense.weight": torch.rand(48, 48), "bert.pooler.dense.bias": torch.rand(48)}
    groups = groups_by_names(shapes_of(state), config if known else None).groups
    moving = {member.tensor for group in groups.groups.values() for member in group.members}
    assert ("bert.pooler.dense.bias" in moving) is not known
    compute = lambda module: run(module, FAMILIES["bert-tokens"].inputs)  # noqa: E731
    fewer = {
        group.name: Group(
            group.name,
            group.size,
            tuple(member for member in group.members if "pooler" not in member.tensor),
            group.kind,
            group.parent,
        )
        for group in groups.groups.values()
    }
    assert difference(module, compute, Groups(fewer), list(fewer)) < TOLERANCE


def test_batch_norm_statistics_only_follow() -> None:
    _, _, state = build("resnet-basic")
    groups = groups_by_names(shapes_of(state)).groups
    quiet = {member.tensor for group in groups.groups.values() for member in group.only_follows}
    assert quiet == {name for name in state if "running" in name}


def test_folders_and_their_configurations(tmp_path: Path) -> None:
    _, config, state = build("open-clip")
    save(tmp_path / "open_clip_model.safetensors", {name: tensor.float() for name, tensor in state.items()})
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with_heads = groups_of(open_checkpoint(str(tmp_path)))
    assert len(with_heads.groups.groups) == FAMILIES["open-clip"].groups
    assert not with_heads.notes
    with pytest.raises(UsageError, match=r"odd.st: the tensors' names"):
        groups_of(open_checkpoint(str(save(tmp_path / "odd.st", {"w": torch.rand(2)}))))
