"""Gram matrices of networks of transformers, open_clip and torch: padding, streams of tokens, and stored layouts."""

from __future__ import annotations

from typing import Any

import torch
from gram_case import FakeData, FakeSubject, close, gram_of, mean, random
from torch import nn


def inputs_of(module: nn.Module, names: list[str], **inputs: Any) -> dict[str, torch.Tensor]:
    """Return the inputs of Linear layers by hooks."""
    found = {}
    handles = [
        module.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: found.update({name: args[0]}))
        for name in names
    ]
    with torch.no_grad():
        module.eval()(**inputs)
    for handle in handles:
        handle.remove()
    return found


def test_padding_of_a_bert(tmp_path):
    from evaluation.tiny_language_models import make_bert

    module, tokens = make_bert("BertForSequenceClassification"), torch.tensor([[1, 5, 9, 2], [3, 4, 0, 0]])
    attended = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    inputs = {"input_ids": tokens, "attention_mask": attended}
    data = FakeData(FakeSubject(module), inputs, {"input_ids": attended.bool()})
    name = "bert.encoder.layer.1.output.dense"
    states = inputs_of(module, [name], **inputs)[name]
    masked, facts = gram_of(data, tmp_path / "masked.st")
    counted, all_rows = gram_of(data, tmp_path / "counted.st", padding="counted")
    close(masked[f"{name}.weight"], mean(states[attended.bool()]), 1e-6)
    close(counted[f"{name}.weight"], mean(states), 1e-6)
    assert (facts.rows[f"{name}.weight"], all_rows.rows[f"{name}.weight"]) == (6, 8)
    assert facts.rows["classifier.weight"] == 2  # of pooled states, one for each item
    shared = facts.aliases["bert.encoder.layer.0.attention.self.value.weight"]
    assert shared == "bert.encoder.layer.0.attention.self.query.weight"


def test_padding_of_an_encoder_and_a_decoder_of_equal_length(tmp_path):
    """Cross attention looks at the encoder's tokens, everything else in the decoder at its own."""
    from evaluation.tiny_language_models import make_t5

    module = make_t5()
    read, written = torch.tensor([[1, 1, 1], [1, 0, 0]]), torch.tensor([[1, 1, 0], [1, 1, 0]])
    inputs = {
        "input_ids": torch.tensor([[5, 6, 7], [8, 0, 0]]),
        "attention_mask": read,
        "decoder_input_ids": torch.tensor([[0, 9, 0], [0, 7, 0]]),
        "decoder_attention_mask": written,
    }
    data = FakeData(FakeSubject(module), inputs, {"input_ids": read.bool(), "decoder_input_ids": written.bool()})
    streams = {
        "encoder.block.1.layer.0.SelfAttention.q": read,
        "decoder.block.0.layer.0.SelfAttention.q": written,
        "decoder.block.0.layer.1.EncDecAttention.q": written,
        "decoder.block.0.layer.1.EncDecAttention.k": read,
        "decoder.block.1.layer.2.DenseReluDense.wo": written,
    }
    states = inputs_of(module, list(streams), **inputs)
    tensors, facts = gram_of(data, tmp_path / "out.st")
    for name, mask in streams.items():
        owner = facts.aliases.get(f"{name}.weight", f"{name}.weight")
        close(tensors[owner], mean(states[name][mask.bool()]), 1e-6)
    # All the decoder's blocks look at the encoder's states, so all share one matrix.
    crossing = "decoder.block.0.layer.1.EncDecAttention.k.weight"
    assert facts.aliases["decoder.block.1.layer.1.EncDecAttention.v.weight"] == crossing


def test_images_are_not_masked_as_texts_are(tmp_path):
    """Patches may be as many as tokens."""
    from evaluation.tiny_clip import make_clip

    module = make_clip(tmp_path)
    counted = torch.tensor([[True, True, True, True, False]] * 2)
    inputs = {
        "pixel_values": random(2, 3, 8, 8).float(),  # 4 patches and the class token
        "input_ids": torch.tensor([[4, 5, 6, 3, 3], [9, 8, 7, 6, 3]]),
        "attention_mask": counted.long(),
    }
    _, facts = gram_of(FakeData(FakeSubject(module), inputs, {"input_ids": counted}), tmp_path / "out.st")
    assert facts.rows["vision_model.encoder.layers.0.self_attn.out_proj.weight"] == 10
    assert facts.rows["text_model.encoder.layers.0.self_attn.out_proj.weight"] == 8


def test_tokens_that_torch_s_own_layers_put_first(tmp_path):
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=False, dtype=torch.float64)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x.transpose(0, 1))

    x, counted = random(2, 3, 6), torch.tensor([[True, True, False], [True, False, False]])
    tensors, facts = gram_of(FakeData(FakeSubject(Network()), {"x": x}, {"x": counted}), tmp_path / "out.st")
    close(tensors["layer.self_attn.in_proj_weight"], mean(x[counted]))
    assert set(facts.rows.values()) == {3}


def as_open_clip(tower: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a vision tower of transformers under open_clip's names, q, k and v as one."""
    own = tower.state_dict()
    own = {name.removeprefix("vision_model."): tensor for name, tensor in own.items()}
    found = {
        "class_embedding": own["embeddings.class_embedding"],
        "positional_embedding": own["embeddings.position_embedding.weight"],
        "conv1.weight": own["embeddings.patch_embedding.weight"],
        "proj": own["visual_projection.weight"].T.contiguous(),
    }
    for theirs, ours in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        found |= {f"{theirs}.{part}": own[f"{ours}.{part}"] for part in ("weight", "bias")}
    renamed = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    renamed |= {"attn.out_proj": "self_attn.out_proj"}
    for layer in range(2):
        here, there = f"transformer.resblocks.{layer}", f"encoder.layers.{layer}"
        for part in ("weight", "bias"):
            found |= {f"{here}.{one}.{part}": own[f"{there}.{other}.{part}"] for one, other in renamed.items()}
            parts = [own[f"{there}.self_attn.{kind}_proj.{part}"] for kind in "qkv"]
            found[f"{here}.attn.in_proj_{part}"] = torch.cat(parts)
    return found


def test_one_vision_tower_as_transformers_and_as_open_clip_store_it(tmp_path):
    from evaluation.tiny_models import make_clip_config
    from open_clip.transformer import VisionTransformer
    from transformers import CLIPVisionModelWithProjection

    torch.manual_seed(0)
    theirs = CLIPVisionModelWithProjection(make_clip_config(hidden_act="gelu"))
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    ours = VisionTransformer(8, 4, 8, layers=2, heads=2, mlp_ratio=2, output_dim=4)
    ours.load_state_dict(as_open_clip(theirs))
    pixels = random(3, 3, 8, 8)
    one, facts = gram_of(FakeData(FakeSubject(theirs.double()), {"pixel_values": pixels}), tmp_path / "one.st")
    other, others = gram_of(FakeData(FakeSubject(ours.double()), {"x": pixels}), tmp_path / "other.st")
    assert len(one) == len(other) == 9
    base = next(name for name in one if ".layers.0.self_attn.q_proj" in name).partition("encoder.")[0]
    for layer in range(2):
        here, there = f"transformer.resblocks.{layer}", f"{base}encoder.layers.{layer}"
        for name, twin in (
            ("attn.in_proj_weight", "self_attn.q_proj.weight"),
            ("attn.out_proj.weight", "self_attn.out_proj.weight"),
            ("mlp.c_fc.weight", "mlp.fc1.weight"),
            ("mlp.c_proj.weight", "mlp.fc2.weight"),
        ):
            close(other[f"{here}.{name}"], one[f"{there}.{twin}"])
            assert others.rows[f"{here}.{name}"] == facts.rows[f"{there}.{twin}"] == 15
        assert facts.aliases[f"{there}.self_attn.v_proj.weight"] == f"{there}.self_attn.q_proj.weight"
    close(other["proj"], one["visual_projection.weight"])
    assert others.layout == {"proj": "in_out"}
    assert others.rows["proj"] == 3
