"""Folders in and out: shards, indexes, config and tokenizer, and what transformers makes of them."""

from __future__ import annotations

import json

import pytest
import torch
from checkpoint_files import assert_same, load, random_state, save


def llama(**changes):
    from transformers import LlamaConfig, LlamaForCausalLM

    settings = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    settings |= {"num_key_value_heads": 2, "vocab_size": 50, "max_position_embeddings": 32, "dtype": "bfloat16"}
    return LlamaForCausalLM(LlamaConfig(**(settings | changes)))


def gpt2(**changes):
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50, n_positions=32, **changes))


def saved(path, make, seed: int, shard: str = "5GB", **changes):
    torch.manual_seed(seed)
    model = make(**changes).to(torch.bfloat16)
    model.save_pretrained(path, max_shard_size=shard)
    return path


@pytest.fixture
def llamas(tmp_path):
    return [saved(tmp_path / name, llama, seed, "8KB") for seed, name in enumerate(("one", "two"))]


def parameters(path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16).state_dict()


def half_of_each(one, two):
    return {name: ((one[name].float() * 0.5) + two[name].float() * 0.5).to(one[name].dtype) for name in one}


@pytest.mark.parametrize("size", ["5GB", "8KB", "1"])
def test_transformers_loads_what_was_sharded(cli, llamas, tmp_path, size):
    result = cli("soup", *llamas, "-o", tmp_path / "out", "--max-shard-size", size)
    assert result.code == 0, result.err
    assert_same(parameters(tmp_path / "out"), half_of_each(*map(parameters, llamas)))


def test_index_names_every_tensor_and_the_size(cli, llamas, tmp_path):
    assert cli("soup", *llamas, "-o", tmp_path / "out", "--max-shard-size", "8KB").code == 0
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    files = sorted(path.name for path in (tmp_path / "out").glob("*.safetensors"))
    assert len(files) > 1
    assert files == [f"model-{n:05d}-of-{len(files):05d}.safetensors" for n in range(1, len(files) + 1)]
    found = load(tmp_path / "out")
    assert index["weight_map"].keys() == found.keys()
    assert set(index["weight_map"].values()) == set(files)
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in found.values())
    for path in (tmp_path / "out").glob("*.safetensors"):
        tensors = load(path)
        assert len(tensors) == 1 or sum(t.numel() * t.element_size() for t in tensors.values()) <= 8000


def test_shards_are_an_input_like_any_other(cli, llamas, tmp_path):
    assert cli("soup", *llamas, "-o", tmp_path / "a.st").code == 0
    assert cli("soup", *llamas, "-o", tmp_path / "sharded", "--max-shard-size", "8KB").code == 0
    assert_same(load(tmp_path / "sharded"), load(tmp_path / "a.st"))
    again = cli("soup", tmp_path / "sharded", tmp_path / "a.st", "-o", tmp_path / "b.st")
    assert again.code == 0
    assert_same(load(tmp_path / "b.st"), load(tmp_path / "a.st"))


@pytest.mark.parametrize("make", [llama, gpt2], ids=["llama", "gpt2"])
def test_tied_weights_are_written_as_the_base_writes_them(cli, tmp_path, make):
    changes = {"tie_word_embeddings": True}
    models = [saved(tmp_path / name, make, seed, **changes) for seed, name in enumerate(("one", "two"))]
    assert "lm_head.weight" not in load(models[0])
    result = cli("soup", *models, "-o", tmp_path / "out")
    assert result.code == 0, result.err
    assert load(tmp_path / "out").keys() == load(models[0]).keys()
    assert_same(parameters(tmp_path / "out"), half_of_each(*map(parameters, models)))


def test_a_twin_that_one_model_saved_twice(cli, tmp_path):
    """One model holds the tied matrix under both names, the other once; the reference decides."""
    once, other = (
        saved(tmp_path / name, llama, seed, tie_word_embeddings=True) for seed, name in enumerate(("one", "two"))
    )
    twice = tmp_path / "twice"
    saved(twice, llama, 1, tie_word_embeddings=True)
    state = load(other)
    save(twice / "model.safetensors", state | {"lm_head.weight": state["model.embed_tokens.weight"].clone()})
    first = cli("soup", once, twice, "-o", tmp_path / "out-once")
    second = cli("soup", twice, once, "-o", tmp_path / "out-twice")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    without, with_both = load(tmp_path / "out-once"), load(tmp_path / "out-twice")
    assert "lm_head.weight" not in without
    assert torch.equal(with_both["lm_head.weight"], with_both["model.embed_tokens.weight"])
    assert torch.equal(without["model.embed_tokens.weight"], with_both["model.embed_tokens.weight"])
    assert "warning" not in first.err


def test_a_twin_that_differs_is_reported(cli, tmp_path):
    once, twice = (
        saved(tmp_path / name, llama, seed, tie_word_embeddings=True) for seed, name in enumerate(("one", "two"))
    )
    state = load(twice)
    save(twice / "model.safetensors", state | {"lm_head.weight": state["model.embed_tokens.weight"] + 1})
    result = cli("soup", once, twice, "-o", tmp_path / "out")
    assert result.code == 0
    assert "lm_head.weight" in result.err
    assert "tied" in result.err


COMPANIONS = {
    "config.json": '{"model_type": "llama", "dtype": "bfloat16"}',
    "generation_config.json": "{}",
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "special_tokens_map.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "preprocessor_config.json": "{}",
    "vocab.txt": "a",
    "merges.txt": "a b",
}


@pytest.fixture
def folders(tmp_path):
    for seed, name in enumerate(("base", "one", "two")):
        save(tmp_path / name / "model.safetensors", random_state(seed))
        (tmp_path / name / "README.md").write_text("---\nlicense: mit\n---\n")
        (tmp_path / name / "optimizer.pt").write_text("no")
        for file, text in COMPANIONS.items():
            (tmp_path / name / file).write_text(text + ("" if file.endswith(".json") else f" {name}"))
    return [tmp_path / name for name in ("base", "one", "two")]


@pytest.mark.parametrize("with_base", [True, False])
def test_companions_come_from_the_base_or_first_model_and_are_named(cli, folders, tmp_path, with_base):
    base, *models = folders
    result = cli("soup", *models, *(("--base", base) if with_base else ()), "-o", tmp_path / "out")
    assert result.code == 0, result.err
    origin = base if with_base else models[0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*COMPANIONS, "model.safetensors", "README.md"}
    for file in COMPANIONS:
        assert (tmp_path / "out" / file).read_bytes() == (origin / file).read_bytes()
        assert file in result.out
    assert str(origin) in result.out


def test_the_chosen_type_is_entered_in_the_config_and_nothing_else(cli, folders, tmp_path):
    assert cli("soup", *folders[1:], "--dtype", "float16", "-o", tmp_path / "out").code == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config == {"model_type": "llama", "dtype": "float16"}


def test_the_card_names_models_recipe_and_licence(cli, folders, tmp_path):
    assert cli("soup", *folders[1:], "-o", tmp_path / "out").code == 0
    card = (tmp_path / "out" / "README.md").read_text()
    for word in ("license: mit", "merge: soup", "../one", "../two"):
        assert word in card


def test_a_single_file_has_its_card_beside_it(cli, pair, tmp_path):
    assert cli("soup", *pair, "-o", tmp_path / "out.st").code == 0
    assert "merge: soup" in (tmp_path / "out.st.md").read_text()
    (tmp_path / "next.st.md").write_text("mine")
    refused = cli("soup", *pair, "-o", tmp_path / "next.st")
    assert refused.code == 2
    assert (tmp_path / "next.st.md").read_text() == "mine"
    assert not (tmp_path / "next.st").exists()


@pytest.mark.parametrize("name", ["weights.bin", "noname", "x.ckpt"])
def test_files_are_recognised_by_content(cli, pair, tmp_path, name):
    renamed = pair[0].rename(tmp_path / name)
    assert cli("soup", renamed, pair[1], "-o", tmp_path / "out.st").code == 0


def test_a_tensor_that_the_index_does_not_name_is_left_out_and_said(cli, tmp_path):
    folder = tmp_path / "one"
    save(folder / "a.safetensors", {"w": torch.ones(2), "stray": torch.ones(2)})
    index = {"weight_map": {"w": "a.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    other = save(tmp_path / "b.st", {"w": torch.zeros(2)})
    result = cli("soup", folder, other, "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert "stray" in result.out
    assert load(tmp_path / "out.st").keys() == {"w"}
