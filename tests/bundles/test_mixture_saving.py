"""A mixture on disk: bit for bit the same after loading, shared matrices once, weights of its own or of members."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bundled_language_models import TOKENS, gpt2, llama, mixture
from safetensors import safe_open
from tiny_language_models import save
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from merge.bundles.combine import Combination
from merge.bundles.mixture import LogitMixtureForCausalLM
from merge.bundles.vocabulary import Vocabulary
from merge.errors import MergeError, UsageError


def logits(model):
    return model(TOKENS).logits


def tensor_names(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


def tied_llama(seed):
    return llama(seed, tie_word_embeddings=True)


def sharing_pair():
    """Models of one input embedding, one of which has it for its output layer as well."""
    first, second = gpt2(0), llama(1)
    second.model.embed_tokens.weight.data = first.transformer.wte.weight.data.clone()
    return first, second


@pytest.mark.parametrize(
    ("make", "how"),
    [
        ([gpt2, gpt2], Combination("probs", (0.2, 0.8), (1.0, 3.0))),
        ([gpt2, llama], Combination("logprobs")),
        ([tied_llama, llama, gpt2], Combination()),
    ],
)
def test_a_round_trip_is_bit_for_bit(make, how, tmp_path):
    model = mixture(*(one(seed) for seed, one in enumerate(make)), how=how)
    model.generation_config.max_new_tokens = 7
    model.save_pretrained(tmp_path)
    found, told = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told.values())
    assert torch.equal(logits(found), logits(model))
    assert isinstance(found, LogitMixtureForCausalLM)
    assert found.config.combination == how
    assert found.generation_config.max_new_tokens == 7
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    found.save_pretrained(tmp_path / "again")
    again = LogitMixtureForCausalLM.from_pretrained(tmp_path / "again")
    assert torch.equal(logits(again), logits(model))


def test_a_shared_input_embedding_is_kept_once(tmp_path):
    first, second = sharing_pair()
    alone = first.num_parameters() + second.num_parameters()
    model = mixture(first, second)
    assert model.config.shared_input_embeddings
    assert model.num_parameters() == alone - first.transformer.wte.weight.numel()
    model.save_pretrained(tmp_path)
    assert "experts.0.transformer.wte.weight" in tensor_names(tmp_path)
    assert not {"experts.1.model.embed_tokens.weight", "experts.0.lm_head.weight"} & tensor_names(tmp_path)
    found = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(logits(found), logits(model))
    first, second = found.experts
    assert first.lm_head.weight is first.transformer.wte.weight is second.model.embed_tokens.weight
    assert second.lm_head.weight is not second.model.embed_tokens.weight
    assert found.num_parameters() == model.num_parameters()


def test_embeddings_that_differ_in_a_bit_are_not_shared(tmp_path):
    first, second = sharing_pair()
    second.model.embed_tokens.weight.data[3, 3] += 1e-6
    model = mixture(first, second)
    assert not model.config.shared_input_embeddings
    model.save_pretrained(tmp_path)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(model))


def test_tying_again_changes_nothing():
    model = mixture(*sharing_pair())
    before = logits(model)
    model.tie_weights()
    assert torch.equal(logits(model), before)


def test_experts_keep_their_number_formats(tmp_path):
    experts = [gpt2(0).bfloat16(), llama(1)]
    model = mixture(*experts)
    model.save_pretrained(tmp_path)
    found = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert [expert.dtype for expert in found.experts] == [torch.bfloat16, torch.float32]
    assert torch.equal(logits(found), logits(model))
    for load in (AutoModelForCausalLM.from_pretrained, LogitMixtureForCausalLM.from_pretrained):
        low = load(tmp_path, dtype=torch.bfloat16)
        assert {parameter.dtype for parameter in low.parameters()} == {torch.bfloat16}
        assert logits(low).dtype == torch.float32


def test_aligned_vocabularies_are_kept(tmp_path):
    order = [*range(59, -1, -1)]
    vocabulary = Vocabulary(60, (60, 60), (tuple(range(60)), tuple(order)), stand_ins=(None, 3))
    model = mixture(gpt2(0), llama(1), how=Combination("probs"), vocabulary=vocabulary)
    model.save_pretrained(tmp_path)
    found = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert found.config.stand_ins == [None, 3]
    assert torch.equal(logits(found), logits(model))


def test_no_path_of_this_machine_is_written(tmp_path):
    gpt2(0).save_pretrained(tmp_path / "one")
    model = mixture(AutoModelForCausalLM.from_pretrained(tmp_path / "one"), llama(1))
    model.save_pretrained(tmp_path / "mixture")
    assert str(tmp_path) not in (tmp_path / "mixture" / "config.json").read_text()


@pytest.fixture(params=[(), ("--copy",)], ids=["members elsewhere", "members copied"])
def bundle(request, tmp_path, cli):
    """A bundle as the command line writes it, and the model that it stands for."""
    for name, expert in zip("ab", sharing_pair(), strict=True):
        save(expert, tmp_path / "members" / name)
    members = [tmp_path / "members" / name for name in "ab"]
    folder = tmp_path / "bundle"
    result = cli("moe", *members, "--combine", "probs", *request.param, "-o", folder)
    assert result.code == 0, result.err
    return folder, mixture(*sharing_pair(), how=Combination("probs", (0.5, 0.5), (1.0, 1.0)))


def test_a_bundle_opens_in_a_session_of_transformers(bundle):
    folder, model = bundle
    for load in (AutoModelForCausalLM.from_pretrained, LogitMixtureForCausalLM.from_pretrained):
        found = load(folder)
        assert torch.equal(logits(found), logits(model))
        assert found.num_parameters() == model.num_parameters()  # what they share is one
        assert not any(parameter.requires_grad for parameter in found.parameters())
    low = AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16")
    assert {parameter.dtype for parameter in low.parameters()} == {torch.bfloat16}
    assert AutoTokenizer.from_pretrained(folder)("a cat")["input_ids"]


def test_a_bundle_moves_with_its_members(bundle, tmp_path):
    folder, model = bundle
    moved = tmp_path.rename(tmp_path.parent / f"{tmp_path.name} moved")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(moved / folder.name)), logits(model))


def test_a_bundle_is_saved_as_a_whole(bundle, tmp_path):
    folder, model = bundle
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path / "whole")
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "whole")), logits(model))


@pytest.mark.parametrize("bundle", [()], ids=["members elsewhere"], indirect=True)
def test_a_member_is_missing_or_changed(bundle, tmp_path):
    folder, _ = bundle
    save(gpt2(5), tmp_path / "members" / "a")
    with pytest.raises(MergeError, match="'expert 1' is not what it was"):
        AutoModelForCausalLM.from_pretrained(folder)
    shutil.rmtree(tmp_path / "members" / "b")
    with pytest.raises(MergeError, match="its member 'expert 2' is missing"):
        AutoModelForCausalLM.from_pretrained(folder)
    (folder / "merge.json").write_text("{")
    with pytest.raises(MergeError, match="cannot be read"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_a_whole_folder_has_a_merge_json_too(tmp_path):
    model = mixture(gpt2(0), llama(1))
    model.save_pretrained(tmp_path)
    (tmp_path / "merge.json").write_text(json.dumps({"members": [{"path": "gone"}]}))
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(model))


SESSION = """
import sys
from transformers import AutoModelForCausalLM
if "import" in sys.argv:
    import merge.bundles.mixture
    options = {}
else:
    options = {"trust_remote_code": True}
import torch
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], **options)
print(model.generate(torch.tensor([[9, 10, 11]]), max_new_tokens=8, do_sample=False, pad_token_id=0).tolist()[0])
if "save" in sys.argv:
    model.save_pretrained(sys.argv[1])
"""


@pytest.mark.slow
def test_a_session_of_transformers_alone(tmp_path):
    model = mixture(gpt2(0), llama(1))
    model.save_pretrained(tmp_path / "mixture")
    wanted = model.generate(torch.tensor([[9, 10, 11]]), max_new_tokens=8, do_sample=False, pad_token_id=0)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    checkout = str(Path(__file__).resolve().parents[2])
    for how in ("import", "save", "trust"):
        run = [sys.executable, "-c", SESSION, str(tmp_path / "mixture"), how]
        done = subprocess.run(run, env=environment, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == wanted.tolist()[0]


def test_every_expert_on_a_device_of_its_own(tmp_path):
    model = mixture(*sharing_pair())
    before = logits(model)
    model.place(["cpu", "cpu"])
    assert torch.equal(logits(model), before)
    model.save_pretrained(tmp_path)
    assert "experts.1.model.embed_tokens.weight" not in tensor_names(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, device_map=["cpu", "cpu"])
    assert torch.equal(logits(loaded), before)
    model.place(["cpu", "meta"])  # which has no numbers, but shows what goes where
    assert model.device.type == "cpu"
    assert {parameter.device.type for parameter in model.experts[0].parameters()} == {"cpu"}
    assert {parameter.device.type for parameter in model.experts[1].parameters()} == {"meta"}
    with pytest.raises(MergeError, match="would drift apart"):
        model.unfreeze()
    with pytest.raises(UsageError, match="1 devices for 2 experts"):
        model.place(["cpu"])


def test_the_configuration_alone_makes_a_model():
    config = AutoConfig.for_model(**mixture(gpt2(0), llama(1)).config.to_dict())
    model = AutoModelForCausalLM.from_config(config)
    assert logits(model).shape == (*TOKENS.shape, 60)
