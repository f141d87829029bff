"""What `BASE+ADAPTER` serves equals the published formulas, for all that PEFT writes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from checkpoint_files import State, bytes_of, save
from made_adapters import assert_rounded, base_state, factors, normal, product, write_adapter

import merge
from merge.checkpoints.resolve import open_checkpoint
from merge.errors import MergeError


def baked(folder: Path, state: State, tensors: State, **config: object) -> State:
    """Return what is read of the state with an adapter of these tensors, every other one checked to be equal."""
    save(folder / "base.st", state)
    write_adapter(folder / "adapter", tensors, **config)
    source = open_checkpoint(f"{folder / 'base.st'}+{folder / 'adapter'}")
    found = merge.load(f"{folder / 'base.st'}+{folder / 'adapter'}")
    assert found.keys() == state.keys() | source.changed
    for name in state.keys() - source.changed:
        assert bytes_of(found[name]) == bytes_of(state[name]), name
    return {name: found[name] for name in source.changed}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_product_is_added_and_rounded_once(tmp_path: Path, dtype: torch.dtype) -> None:
    state, tensors = base_state(dtype), factors("layers.0.q", 6, 4)
    found = baked(tmp_path, state, tensors)
    assert found.keys() == {"layers.0.q.weight"}
    wanted = state["layers.0.q.weight"].double() + product(tensors, "layers.0.q", 3)
    assert_rounded(found["layers.0.q.weight"], wanted)


@pytest.mark.parametrize(
    ("config", "scaling"),
    [
        ({"lora_alpha": 5}, 2.5),
        ({"use_rslora": True}, 6 / math.sqrt(2)),
        ({"alpha_pattern": {"0.q": 8}}, 4),
        ({"alpha_pattern": {"q": 8, "layers.0.q": 2}}, 4),
        ({"alpha_pattern": {r"layers\.\d\.q": 1}}, 0.5),
        ({"alpha_pattern": {"ayers.0.q": 8}}, 3),
        ({"r": 8, "rank_pattern": {"q": 2}}, 3),
        ({"r": 8, "rank_pattern": {"^layers.0.q": 2}, "alpha_pattern": {"q": 1}, "use_rslora": True}, 1 / math.sqrt(2)),
    ],
    ids=str,
)
def test_scale_of_a_module(tmp_path: Path, config: dict[str, object], scaling: float) -> None:
    state, tensors = base_state(), factors("layers.0.q", 6, 4)
    found = baked(tmp_path, state, tensors, **config)["layers.0.q.weight"]
    assert_rounded(found, state["layers.0.q.weight"].double() + product(tensors, "layers.0.q", scaling))


@pytest.mark.parametrize("flag", [False, True])
def test_square_weights_are_stored_as_those_that_are_not_square(tmp_path: Path, flag: bool) -> None:
    """GPT-2's Conv1D is [inputs, outputs]; where shapes tell, they go before the flag, which PEFT sets by layer."""
    state = base_state()
    state["layers.0.q.weight"] = state["layers.0.q.weight"].t().contiguous()
    tensors = factors("layers.0.q", 6, 4) | factors("layers.0.o", 4, 4, seed=60)
    found = baked(tmp_path, state, tensors, fan_in_fan_out=flag)
    for module in ("layers.0.q", "layers.0.o"):
        wanted = state[f"{module}.weight"].double() + product(tensors, module, 3).t()
        assert_rounded(found[f"{module}.weight"], wanted)


@pytest.mark.parametrize("flag", [False, True])
def test_the_flag_decides_where_all_is_square(tmp_path: Path, flag: bool) -> None:
    state, tensors = base_state(), factors("layers.0.o", 4, 4)
    added = product(tensors, "layers.0.o", 3)
    found = baked(tmp_path, state, tensors, fan_in_fan_out=flag)["layers.0.o.weight"]
    assert_rounded(found, state["layers.0.o.weight"].double() + (added.t() if flag else added))


def test_embeddings(tmp_path: Path) -> None:
    state = base_state()
    tensors = {"embed.lora_embedding_A": normal(2, 10, seed=70), "embed.lora_embedding_B": normal(4, 2, seed=71)}
    found = baked(tmp_path, state, tensors)["embed.weight"]
    added = (tensors["embed.lora_embedding_B"].double() @ tensors["embed.lora_embedding_A"].double()).t()
    assert_rounded(found, state["embed.weight"].double() + 3 * added)


def test_convolutions(tmp_path: Path) -> None:
    state = base_state()
    tensors = {"conv.lora_A.weight": normal(2, 3, 2, 2, seed=70), "conv.lora_B.weight": normal(5, 2, 1, 1, seed=71)}
    found = baked(tmp_path, state, tensors)["conv.weight"]
    added = torch.einsum(
        "or,rikl->oikl", tensors["conv.lora_B.weight"][..., 0, 0].double(), tensors["conv.lora_A.weight"].double()
    )
    assert_rounded(found, state["conv.weight"].double() + 3 * added)


@pytest.mark.parametrize("transposed", [False, True])
def test_dora_sets_the_norm_of_every_output(tmp_path: Path, transposed: bool) -> None:
    state, tensors = base_state(), factors("layers.0.q", 6, 4)
    wanted = state["layers.0.q.weight"].double() + product(tensors, "layers.0.q", 3)
    if transposed:
        state["layers.0.q.weight"] = state["layers.0.q.weight"].t().contiguous()
    magnitude = normal(6, seed=80).abs()
    tensors["layers.0.q.lora_magnitude_vector"] = magnitude
    found = baked(tmp_path, state, tensors, use_dora=True)["layers.0.q.weight"]
    wanted = wanted / wanted.norm(dim=1, keepdim=True) * magnitude.double()[:, None]
    assert_rounded(found, wanted.t() if transposed else wanted)


def test_dora_of_embeddings_and_convolutions(tmp_path: Path) -> None:
    state = base_state()
    tensors = {"embed.lora_embedding_A": normal(2, 10, seed=70), "embed.lora_embedding_B": normal(4, 2, seed=71)}
    tensors |= {"conv.lora_A.weight": normal(2, 3, 2, 2, seed=72), "conv.lora_B.weight": normal(5, 2, 1, 1, seed=73)}
    tensors |= {
        "embed.lora_magnitude_vector": normal(4, seed=74),
        "conv.lora_magnitude_vector": normal(1, 5, 1, 1, seed=75),
    }
    found = baked(tmp_path, state, tensors, use_dora=True)
    embedding = (tensors["embed.lora_embedding_B"].double() @ tensors["embed.lora_embedding_A"].double()).t()
    embedding = state["embed.weight"].double() + 3 * embedding
    assert_rounded(
        found["embed.weight"], embedding / embedding.norm(dim=0) * tensors["embed.lora_magnitude_vector"].double()
    )
    kernel = torch.einsum(
        "or,rikl->oikl", tensors["conv.lora_B.weight"][..., 0, 0].double(), tensors["conv.lora_A.weight"].double()
    )
    kernel = state["conv.weight"].double() + 3 * kernel
    norms = kernel.flatten(1).norm(dim=1)
    magnitude = tensors["conv.lora_magnitude_vector"].double().reshape(-1)
    assert_rounded(found["conv.weight"], kernel * (magnitude / norms)[:, None, None, None])


def test_trained_biases_replace_and_those_of_factors_are_added(tmp_path: Path) -> None:
    state, tensors = base_state(), factors("layers.0.q", 6, 4) | factors("layers.1.q", 6, 4, seed=60)
    tensors |= {"layers.0.q.base_layer.bias": normal(6, seed=80), "layers.1.q.lora_B.bias": normal(6, seed=81)}
    found = baked(tmp_path, state, tensors, bias="lora_only", lora_bias=True)
    assert bytes_of(found["layers.0.q.bias"]) == bytes_of(tensors["layers.0.q.base_layer.bias"])
    wanted = state["layers.1.q.bias"].double() + 3 * tensors["layers.1.q.lora_B.bias"].double()
    assert_rounded(found["layers.1.q.bias"], wanted)


def test_modules_that_were_trained_whole(tmp_path: Path) -> None:
    """What the base has is replaced, in the base's type; a new head is added as it is."""
    state, tensors = base_state(torch.bfloat16), factors("layers.0.q", 6, 4)
    tensors |= {"head.weight": normal(10, 4, seed=80), "score.weight": normal(3, 4, seed=81)}
    tensors["norm.modules_to_save.default.weight"] = normal(4, seed=82)
    found = baked(tmp_path, state, tensors, modules_to_save=["head", "score", "norm"])
    assert bytes_of(found["head.weight"]) == bytes_of(tensors["head.weight"].bfloat16())
    assert bytes_of(found["norm.weight"]) == bytes_of(tensors["norm.modules_to_save.default.weight"].bfloat16())
    assert bytes_of(found["score.weight"]) == bytes_of(tensors["score.weight"])


@pytest.mark.parametrize("ending", ["bias", "default.bias"])
def test_biases_of_modules_that_were_trained_whole(tmp_path: Path, ending: str) -> None:
    """With ``bias: all`` PEFT saves them twice, and the base's own beside them."""
    tensors, own = factors("layers.0.o", 4, 4), normal(6, seed=83)
    tensors |= {"layers.0.q.weight": normal(6, 4, seed=84), "layers.0.q.bias": own}
    tensors |= {f"layers.0.q.modules_to_save.{ending}": own, "layers.0.q.original_module.bias": normal(6, seed=85)}
    found = baked(tmp_path, base_state(), tensors, modules_to_save=["layers.0.q"], bias="all")
    assert bytes_of(found["layers.0.q.bias"]) == bytes_of(own)
    assert found.keys() == {"layers.0.q.weight", "layers.0.q.bias", "layers.0.o.weight"}


def test_a_wide_tensor_is_rounded_to_a_narrow_type_once(tmp_path: Path) -> None:
    """By way of float32 this value would first become a tie, and then the even neighbour, 1."""
    state = {"norm.weight": torch.ones(4, dtype=torch.bfloat16)}
    tensors = {"norm.weight": torch.full((4,), 1 + 2**-8 + 2**-40, dtype=torch.float64)}
    found = baked(tmp_path, state, tensors, modules_to_save=["norm"])["norm.weight"]
    assert found.tolist() == [1 + 2**-7] * 4


def test_an_embedding_saved_with_its_factors(tmp_path: Path) -> None:
    state = base_state()
    tensors = {"embed.lora_embedding_A": normal(2, 10, seed=70), "embed.lora_embedding_B": normal(4, 2, seed=71)}
    tensors["embed.base_layer.weight"] = normal(10, 4, seed=72)
    found = baked(tmp_path, state, tensors)["embed.weight"]
    added = (tensors["embed.lora_embedding_B"].double() @ tensors["embed.lora_embedding_A"].double()).t()
    assert_rounded(found, tensors["embed.base_layer.weight"].double() + 3 * added)


@pytest.mark.parametrize("indices", [[9, 0, 4], {"embed": [9, 0, 4]}], ids=["list", "by name"])
def test_trained_tokens_replace_rows(tmp_path: Path, indices: object) -> None:
    state, rows = base_state(torch.bfloat16), normal(3, 4, seed=70)
    tensors = factors("layers.0.q", 6, 4) | {"embed.token_adapter.trainable_tokens_delta": rows}
    found = baked(tmp_path, state, tensors, trainable_token_indices=indices)["embed.weight"]
    wanted = state["embed.weight"].clone()
    wanted[[9, 0, 4]] = rows.bfloat16()
    assert bytes_of(found) == bytes_of(wanted)


def test_attention_of_torch_in_one_parameter(tmp_path: Path) -> None:
    """PEFT adds the product of the output layer twice, in training as in its own merge; seen with PEFT 0.21."""
    state = {"a.in_proj_weight": normal(12, 4), "a.out_proj.weight": normal(4, 4, seed=1), "a.out_proj.bias": normal(4)}
    tensors = factors("a", 12, 4) | factors("a.base_layer.out_proj", 4, 4, seed=60)
    found = baked(tmp_path, state, tensors, target_modules=["a"], alpha_pattern={"a": 4})
    assert_rounded(found["a.in_proj_weight"], state["a.in_proj_weight"].double() + product(tensors, "a", 2))
    wanted = state["a.out_proj.weight"].double() + product(tensors, "a.base_layer.out_proj", 4)
    assert_rounded(found["a.out_proj.weight"], wanted)


@pytest.mark.parametrize("ending", [".default", ".my_run"])
def test_names_of_adapters_within_keys(tmp_path: Path, ending: str) -> None:
    state, plain = base_state(), factors("layers.0.q", 6, 4)
    plain |= {"embed.lora_embedding_A": normal(2, 10, seed=70), "embed.lora_embedding_B": normal(4, 2, seed=71)}
    named = {f"{name.removesuffix('.weight')}{ending}{'.weight' * ('weight' in name)}": plain[name] for name in plain}
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one, other = baked(tmp_path / "one", state, plain), baked(tmp_path / "other", state, named)
    assert one.keys() == other.keys() == {"layers.0.q.weight", "embed.weight"}
    assert all(bytes_of(one[name]) == bytes_of(other[name]) for name in one)


def test_a_base_without_the_prefix_of_its_model(tmp_path: Path) -> None:
    """The hub's gpt2 has `h.0…`, and an adapter of GPT2LMHeadModel `transformer.h.0…`."""
    state, tensors = base_state(), factors("transformer.layers.0.q", 6, 4)
    found = baked(tmp_path, state, tensors)["layers.0.q.weight"]
    assert_rounded(found, state["layers.0.q.weight"].double() + product(tensors, "transformer.layers.0.q", 3))


def test_a_base_with_a_prefix_of_its_own(tmp_path: Path) -> None:
    """It is found where there is one such tensor; where there are several, nothing is guessed."""
    state, tensors = base_state(), factors("layers.0.q", 6, 4)
    longer = {f"encoder.{name}": tensor for name, tensor in state.items()}
    found = baked(tmp_path, longer, tensors)["encoder.layers.0.q.weight"]
    assert_rounded(found, state["layers.0.q.weight"].double() + product(tensors, "layers.0.q", 3))
    with pytest.raises(MergeError, match=r"'decoder.layers.0.q.weight' or 'encoder.layers.0.q.weight'"):
        baked(tmp_path, longer | {f"decoder.{name}": tensor for name, tensor in base_state().items()}, tensors)


def test_two_adapters_after_another(tmp_path: Path) -> None:
    state, one, two = base_state(), factors("layers.0.q", 6, 4), factors("layers.0.q", 6, 4, seed=60)
    save(tmp_path / "base.st", state)
    for name, tensors in {"one": one, "two": two}.items():
        write_adapter(tmp_path / name, tensors)
    found = merge.load("+".join(str(tmp_path / name) for name in ("base.st", "one", "two")))["layers.0.q.weight"]
    first = (state["layers.0.q.weight"].double() + product(one, "layers.0.q", 3)).float()
    assert_rounded(found, first.double() + product(two, "layers.0.q", 3))


def test_adapters_in_a_pickle(tmp_path: Path) -> None:
    state, tensors = base_state(), factors("layers.0.q", 6, 4)
    wanted = baked(tmp_path, state, tensors)["layers.0.q.weight"]
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    torch.save(
        {f"base_model.model.{name}": tensor for name, tensor in tensors.items()}, tmp_path / "adapter/adapter_model.bin"
    )
    found = merge.load(f"{tmp_path / 'base.st'}+{tmp_path / 'adapter'}")["layers.0.q.weight"]
    assert bytes_of(found) == bytes_of(wanted)


def test_a_tied_copy_of_the_embedding_is_left_out(tmp_path: Path) -> None:
    state = {"model.embed_tokens.weight": normal(10, 4), "model.q.weight": normal(6, 4)}
    save(tmp_path / "base" / "model.safetensors", state)
    (tmp_path / "base" / "config.json").write_text('{"tie_word_embeddings": true}')
    embedding = normal(10, 4, seed=3)
    tensors = factors("model.q", 6, 4) | {"model.embed_tokens.weight": embedding, "lm_head.weight": embedding.clone()}
    write_adapter(tmp_path / "adapter", tensors)
    source = open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")
    assert source.tensors.keys() == state.keys()
    assert any("lm_head.weight" in note for note in source.notes)
    write_adapter(tmp_path / "adapter", tensors, modules_to_save=["embed_tokens", "lm_head"])
    with pytest.raises(MergeError, match="ties the two"):
        open_checkpoint(f"{tmp_path / 'base'}+{tmp_path / 'adapter'}")


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "GPT2ForSequenceClassification"])
def test_an_embedding_that_was_trained_apart_from_the_tied_head(tmp_path: Path, architecture: str) -> None:
    """PEFT trains a copy, and the head goes on with the base's rows; a model without a head has nothing to lose."""
    save(tmp_path / "base" / "model.safetensors", {"wte.weight": normal(10, 4), "q.weight": normal(6, 4)})
    settings = {"tie_word_embeddings": True, "architectures": [architecture]}
    (tmp_path / "base" / "config.json").write_text(json.dumps(settings))
    location, tensors = (
        f"{tmp_path / 'base'}+{tmp_path / 'adapter'}",
        factors("q", 6, 4) | {"wte.weight": normal(10, 4)},
    )
    write_adapter(tmp_path / "adapter", tensors, modules_to_save=["wte"])
    if "LMHead" in architecture:
        with pytest.raises(MergeError, match=r"'wte\.weight' apart from the output matrix"):
            open_checkpoint(location)
        write_adapter(tmp_path / "adapter", tensors, modules_to_save=["wte"], ensure_weight_tying=True)
    assert open_checkpoint(location).tensors.keys() == {"wte.weight", "q.weight"}
