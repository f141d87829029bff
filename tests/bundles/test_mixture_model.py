"""The mixture as a model of transformers: what it computes, loses and refuses."""

from __future__ import annotations

import math

import pytest
import torch
from bundled_language_models import TOKENS, gpt2, llama, mistral, mixture
from transformers import DynamicCache

from merge.bundles.combine import Combination
from merge.bundles.mixture import LogitMixtureForCausalLM
from merge.bundles.vocabulary import Vocabulary
from merge.errors import MergeError, UsageError


def test_logits_are_the_mean_of_the_experts():
    one, two = gpt2(0), llama(1)
    model = mixture(one, two)
    found = model(TOKENS).logits
    torch.testing.assert_close(found, (one(TOKENS).logits + two(TOKENS).logits) / 2, rtol=0, atol=1e-6)
    weighted = mixture(gpt2(0), llama(1), how=Combination("probs", (0.2, 0.8), (1.0, 2.0)))
    wanted = 0.2 * one(TOKENS).logits.softmax(-1) + 0.8 * (two(TOKENS).logits / 2).softmax(-1)
    torch.testing.assert_close(weighted(TOKENS).logits.exp(), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("combine", ["logits", "probs", "logprobs"])
def test_the_loss_is_that_of_the_mixed_logits_and_at_most_the_mean(combine):
    experts = [gpt2(0), llama(1), llama(2)]
    labels = TOKENS.clone()
    labels[0, :3] = -100
    losses = [expert(TOKENS, labels=labels).loss for expert in experts]
    output = mixture(*experts, how=Combination(combine))(TOKENS, labels=labels)
    shifted = torch.nn.functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(output.loss, shifted)
    assert output.loss <= sum(losses) / 3 + 1e-6


def test_a_sum_of_losses_is_divided_as_transformers_does():
    one = gpt2(0)
    wanted = one(TOKENS, labels=TOKENS, num_items_in_batch=5).loss
    torch.testing.assert_close(mixture(one, gpt2(0))(TOKENS, labels=TOKENS, num_items_in_batch=5).loss, wanted)


@pytest.mark.parametrize("keep", [1, 3, torch.tensor([0, 4])])
def test_only_some_positions(keep):
    model = mixture(gpt2(0), llama(1))
    chosen = slice(-keep, None) if isinstance(keep, int) else keep
    torch.testing.assert_close(model(TOKENS, logits_to_keep=keep).logits, model(TOKENS).logits[:, chosen])


def test_padding_at_the_left_changes_nothing():
    model = mixture(gpt2(0), llama(1))
    padded = torch.nn.functional.pad(TOKENS, (3, 0), value=0)
    mask = (torch.arange(padded.shape[1]) >= 3).long().expand(len(TOKENS), -1)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    found = model(padded, attention_mask=mask, position_ids=positions).logits[:, 3:]
    torch.testing.assert_close(found, model(TOKENS).logits, rtol=0, atol=1e-5)


def test_a_cache_gives_what_recomputing_gives():
    model = mixture(gpt2(0), llama(1), mistral(2, sliding_window=3))
    whole, cache = model(TOKENS).logits, None
    for position in range(TOKENS.shape[1]):
        output = model(TOKENS[:, position : position + 1], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        torch.testing.assert_close(output.logits[:, 0], whole[:, position], rtol=0, atol=1e-5)
    assert cache.get_seq_length() == TOKENS.shape[1]
    assert model(TOKENS, use_cache=False).past_key_values is None


def test_lower_precision_is_averaged_in_float32():
    experts = [llama(seed).bfloat16() for seed in (0, 1)]
    found = mixture(*experts)(TOKENS).logits
    assert found.dtype == torch.float32
    wanted = sum(expert(TOKENS).logits.float() for expert in experts) / 2
    assert torch.equal(found, wanted)
    assert not torch.equal(found, found.bfloat16().float())


def test_frozen_unless_unfrozen():
    model = mixture(gpt2(0), llama(1))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model(TOKENS, labels=TOKENS).loss.requires_grad
    model.unfreeze()(TOKENS, labels=TOKENS).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_rows_that_no_token_has_are_cut():
    one, two = gpt2(0), gpt2(1, vocab_size=gpt2(0).config.vocab_size + 4)
    with pytest.raises(MergeError, match="different numbers of outputs: 60, 64"):
        LogitMixtureForCausalLM.from_experts([one, two])
    size = one.config.vocab_size
    model = LogitMixtureForCausalLM.from_experts([one, two], vocabulary=Vocabulary(size, (size, size)))
    assert model(TOKENS).logits.shape[-1] == model.config.vocab_size == size
    with pytest.raises(MergeError, match="expert 1: 60 outputs for the 61 tokens of its tokenizer"):
        LogitMixtureForCausalLM.from_experts([one, two], vocabulary=Vocabulary(61, (61, 61)))


def test_aligned_vocabularies():
    one, two = gpt2(0), llama(1)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    order = torch.cat((order, order[7:8]))  # token 60 is the second expert's alone,
    order[7] = -1  # and token 7 the first one's
    indices = ((*range(60), -1), tuple(order.tolist()))
    vocabulary = Vocabulary(61, (60, 60), indices, stand_ins=(3, 5))
    model = LogitMixtureForCausalLM.from_experts([one, two], Combination("probs"), vocabulary)
    tokens = TOKENS.clone()
    tokens[0, 0] = 7
    read = order[tokens]
    read[0, 0] = 5
    wanted = torch.nn.functional.pad(one(tokens).logits.softmax(-1) / 2, (0, 1))
    wanted += two(read).logits.softmax(-1)[..., order] * (order >= 0) / 2
    torch.testing.assert_close(model(tokens).logits.exp(), wanted, rtol=0, atol=1e-6)
    assert model.get_input_embeddings().weight.shape[0] == 61
    assert model.generate(tokens, max_new_tokens=4, do_sample=False, pad_token_id=0).shape[1] == tokens.shape[1] + 4


def test_tokens_that_all_experts_have():
    indices = tuple(tuple(-1 if token == 7 else token for token in range(60)) for _ in range(2))
    vocabulary = Vocabulary(60, (60, 60), indices)
    model = LogitMixtureForCausalLM.from_experts([gpt2(0), llama(1)], Combination(), vocabulary)
    assert (model(TOKENS).logits[..., 7] == -math.inf).all()
    assert model(TOKENS).logits[..., 8].isfinite().all()
    with pytest.raises(MergeError, match="expert 1: the expert has no token for token 7"):
        model(torch.tensor([[1, 7]]))


def test_logits_that_are_not_finite_name_the_expert():
    broken = llama(1)
    broken.lm_head.weight.data[3] = math.nan
    with pytest.raises(MergeError, match=r"expert 2: .*not finite"):
        mixture(gpt2(0), broken)(TOKENS)
    named = LogitMixtureForCausalLM.from_experts([gpt2(0), broken], names=["runs/a", "runs/b"])
    with pytest.raises(MergeError, match=r"^runs/b: the expert gives logits"):
        named(TOKENS)


def test_what_a_mixture_does_not_take():
    model = mixture(gpt2(0), llama(1))
    with pytest.raises(UsageError, match="no 'inputs_embeds': every expert has input embeddings of its own"):
        model(inputs_embeds=torch.zeros(1, 2, 8))
    with pytest.raises(UsageError, match="needs input_ids"):
        model()
    with pytest.raises(UsageError, match="no 'output_hidden_states'"):
        model(TOKENS, output_hidden_states=True)
    with pytest.raises(UsageError, match="no expert of the mixture takes 'pixel_values'"):
        model(TOKENS, pixel_values=TOKENS)
    with pytest.raises(UsageError, match="DynamicCache is for one model"):
        model(TOKENS, past_key_values=DynamicCache())
    with pytest.raises(UsageError, match="cannot be resized"):
        model.resize_token_embeddings(70)
    with pytest.raises(UsageError, match="no cache of the kind 'static'"):
        model.generate(TOKENS, cache_implementation="static", max_new_tokens=2)


def test_what_cannot_be_an_expert():
    from tiny_language_models import make_bert, make_t5

    for other in (make_bert(), make_t5()):
        with pytest.raises(MergeError, match=r"expert 2: .* cannot be an expert"):
            LogitMixtureForCausalLM.from_experts([gpt2(0), other])
    with pytest.raises(UsageError, match="needs experts"):
        LogitMixtureForCausalLM.from_experts([])
    with pytest.raises(UsageError, match="3 weights for 2 experts"):
        mixture(gpt2(0), llama(1), how=Combination(weights=(1.0, 1.0, 1.0)))


def test_the_length_is_that_of_the_shortest_expert():
    model = mixture(gpt2(0), llama(1, max_position_embeddings=16))
    assert model.config.get_text_config().max_position_embeddings == 16
