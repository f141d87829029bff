"""Groups of real architectures: proven to leave the outputs as they are, and as many as there are to find."""

from __future__ import annotations

from dataclasses import replace

import pytest

from merge.alignment.derive import derive_groups
from merge.alignment.groups_file import parse_groups, render_groups
from merge.alignment.verify import verify_groups
from tests.alignment.architectures import (
    MAKERS,
    PATCHES,
    TEXT,
    llama,
    open_clip_model,
    places,
    text_model,
    timm_model,
)


@pytest.mark.parametrize("name", MAKERS)
def test_the_groups_are_proven_and_reach_all_but_the_outputs(name):
    maker, count, uncovered = MAKERS[name]
    module, inputs = maker()
    here = places(module)
    groups = derive_groups(module, here, inputs)
    proof = verify_groups(module, here, groups, inputs)
    assert proof.largest <= 1e-5
    moved = {member.tensor for group in groups.groups.values() for member in group.members}
    assert {name for name in here if name not in moved} == uncovered
    assert len(groups.groups) == count


@pytest.mark.slow
def test_vgg_with_its_large_linear_layers():
    module, inputs = timm_model("vgg11_bn")
    here = places(module)
    groups = derive_groups(module, here, inputs)
    assert verify_groups(module, here, groups, inputs).largest <= 1e-5
    assert len(groups.groups) == 10


def members(groups, name):
    return {str(member) for member in groups.groups[name].members}


def test_fused_queries_keys_and_values_have_orders_of_their_own_within_heads():
    module, inputs = timm_model("vit_tiny_patch16_224", img_size=32, depth=1)
    groups = derive_groups(module, places(module), inputs)
    qkv = "blocks.0.attn.qkv"
    fused = {f"{qkv}.{kind}:0{piece}[3,64]" for kind in ("weight", "bias") for piece in ("", "@192", "@384")}
    assert members(groups, "heads.0") == {f"{part}/0" for part in fused} | {"blocks.0.attn.proj.weight:1[3,64]/0"}
    values = {f"{qkv}.{kind}:0@384[3,64]/1" for kind in ("weight", "bias")}
    assert members(groups, "heads.0.vo") == values | {"blocks.0.attn.proj.weight:1[3,64]/1"}
    assert members(groups, "heads.0.qk") == {f"{part}/1" for part in fused} - values
    assert {groups.groups[f"heads.0.{part}"].parent for part in ("qk", "vo")} == {"heads.0"}


def test_rotary_embeddings_pin_queries_and_keys_and_grouped_queries_nest():
    module, inputs = llama()
    groups = derive_groups(module, places(module), inputs)
    layer = "model.layers.0.self_attn"
    assert members(groups, "heads.0") == {
        f"{layer}.q_proj.weight:0[2,2,4]/0",
        f"{layer}.k_proj.weight:0[2,4]/0",
        f"{layer}.v_proj.weight:0[2,4]/0",
        f"{layer}.o_proj.weight:1[2,2,4]/0",
    }
    assert members(groups, "heads.0.vo") == {f"{layer}.v_proj.weight:0[2,4]/1", f"{layer}.o_proj.weight:1[2,2,4]/2"}
    nested = {name: group.parent for name, group in groups.groups.items() if group.parent}
    assert nested == {f"heads.{i}.{part}": f"heads.{i}" for i in range(2) for part in ("queries", "vo")}
    assert groups.pinned[f"{layer}.k_proj.weight:0[2,4]/1"] == "the buffer 'model.rotary_emb.inv_freq'"
    kinds = {name: group.kind for name, group in groups.groups.items()}
    assert kinds["residual"] == "residual"
    assert kinds["heads.1.vo"] == "within-heads"
    assert kinds["mlp.1"] == "mlp"


def test_eager_attention_gives_the_groups_of_the_fused_operation():
    fused, inputs = text_model("BertForMaskedLM", "BertConfig", **TEXT)
    eager, _ = text_model("BertForMaskedLM", "BertConfig", **TEXT, attn_implementation="eager")
    assert derive_groups(fused, places(fused), inputs).groups == derive_groups(eager, places(eager), inputs).groups


def test_a_tied_tensor_moves_under_both_names_and_counts_once():
    module, inputs = llama(tie_word_embeddings=True)
    residual = derive_groups(module, places(module), inputs).groups["residual"]
    assert {"model.embed_tokens.weight:1", "lm_head.weight:1"} <= {str(member) for member in residual.members}
    assert {str(member) for member in residual.only_follows} == {"lm_head.weight:1"}


def test_a_tied_output_layer_brings_the_masked_language_head_into_the_residual_stream():
    module, inputs = text_model("BertForMaskedLM", "BertConfig", **TEXT)
    groups = derive_groups(module, places(module), inputs)
    assert "cls.predictions.transform.dense.weight:0" in members(groups, "residual")
    assert groups.pinned["cls.predictions.bias:0"] == "the rows of an embedding, such as the vocabulary"


def test_running_statistics_only_follow():
    module, inputs = timm_model("resnet18")
    group = derive_groups(module, places(module), inputs).groups["residual.0"]
    follows = {member.tensor for member in group.only_follows}
    assert {"bn1.running_mean", "bn1.running_var"} <= follows
    assert all("running_" in name for name in follows)


def test_pieces_of_a_concatenation_have_offsets():
    module, inputs = timm_model("densenet121", block_config=(2, 2), growth_rate=8, bn_size=2)
    groups = derive_groups(module, places(module), inputs)
    found = {(one.tensor, one.offset, one.sizes) for group in groups.groups.values() for one in group.members}
    name = "features.denseblock1.denselayer2.norm1.weight"
    assert {(name, 0, (16,)), (name, 16, (8,))} <= found


@pytest.mark.parametrize("name", ["vit", "densenet", "resnext50", "llama tied", "gpt2"])
def test_a_file_of_the_groups_gives_them_back(name):
    module, inputs = MAKERS[name][0]()
    groups = derive_groups(module, places(module), inputs)
    shapes = {name: tuple(tensor.shape) for name, tensor in places(module).items()}
    again = parse_groups(render_groups(groups, shapes), shapes, "groups.yaml")
    assert {name: plain(group) for name, group in again.groups.items()} == {
        name: plain(group) for name, group in groups.groups.items()
    }


def plain(group):
    return replace(group, members=frozenset(group.members))


def test_the_embedding_that_both_towers_share_stays():
    module, inputs = open_clip_model(whole=True, **PATCHES)
    groups = derive_groups(module, places(module), inputs)
    assert groups.pinned["visual.proj:1"] == "the model's outputs"
    assert groups.pinned["text_projection:1"] == "the model's outputs"


def test_groups_are_the_same_from_run_to_run():
    module, inputs = llama()
    first, second = (derive_groups(module, places(module), inputs) for _ in range(2))
    assert list(first.groups.items()) == list(second.groups.items())
    assert first.pinned == second.pinned
