"""Generating with a mixture: copies of one model write what the one writes, in every way of writing."""

from __future__ import annotations

import pytest
import torch
from bundled_language_models import TOKENS, gpt2, llama, mistral, mixture

from merge.bundles.combine import Combination

NEW = 12
WAYS = {
    "greedy": {},
    "sampling": {"do_sample": True, "temperature": 1.3, "top_p": 0.9},
    "beams": {"num_beams": 4, "num_return_sequences": 2},
    "sampled beams": {"num_beams": 3, "do_sample": True},
    "without a cache": {"use_cache": False},
    "in pieces": {"prefill_chunk_size": 2},
    "repetition penalty": {"repetition_penalty": 1.5},
}
EXPERTS = {"gpt2": gpt2, "llama": llama, "mistral": lambda seed: mistral(seed, sliding_window=4)}


def written(model, tokens, mask=None, **options):
    mask = torch.ones_like(tokens) if mask is None else mask
    torch.manual_seed(3)
    options = {"do_sample": False, "max_new_tokens": NEW, "pad_token_id": 0} | options
    return model.generate(tokens, attention_mask=mask, **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", EXPERTS)
def test_copies_write_what_the_one_writes(kind, way):
    one = EXPERTS[kind](0)
    wanted = written(one, TOKENS, **WAYS[way])
    assert len(wanted.unique()) > 5
    for copies in (2, 3):
        assert torch.equal(written(mixture(*[one] * copies), TOKENS, **WAYS[way]), wanted)


@pytest.mark.parametrize("combine", ["probs", "logprobs"])
@pytest.mark.parametrize("way", ["greedy", "beams"])
def test_copies_under_other_rules(combine, way):
    one = gpt2(0)
    model = mixture(one, gpt2(0), how=Combination(combine))
    assert torch.equal(written(model, TOKENS, **WAYS[way]), written(one, TOKENS, **WAYS[way]))


@pytest.mark.parametrize("way", ["greedy", "beams", "sampling"])
def test_with_a_cache_as_without(way):
    model = mixture(gpt2(0), llama(1), mistral(2, sliding_window=4))
    found = written(model, TOKENS, **WAYS[way], output_scores=True, return_dict_in_generate=True)
    other = written(model, TOKENS, **WAYS[way], output_scores=True, return_dict_in_generate=True, use_cache=False)
    assert torch.equal(found.sequences, other.sequences)
    for one, two in zip(found.scores, other.scores, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


def test_rows_of_unequal_length():
    model = mixture(gpt2(0), llama(1))
    padded, mask = TOKENS.clone(), torch.ones_like(TOKENS)
    padded[0, :2], mask[0, :2] = 0, 0
    found = written(model, padded, mask)
    assert torch.equal(found[0, 2:], written(model, TOKENS[:1, 2:])[0])
    assert torch.equal(found[1], written(model, TOKENS[1:])[0])


@pytest.mark.parametrize("sample", [False, True])
def test_assisted_generation(sample):
    experts = gpt2(0), mistral(2, sliding_window=4)
    model, tokens = mixture(*experts), TOKENS[:1]
    plain = written(model, tokens)
    for options in ({"assistant_model": gpt2(0)}, {"prompt_lookup_num_tokens": 2}, {"assistant_model": gpt2(7)}):
        found = written(model, tokens, **options, do_sample=sample)
        assert torch.equal(found[:, : TOKENS.shape[1]], tokens)
        assert sample or torch.equal(found, plain)
    assisted = written(llama(1), tokens, assistant_model=model)  # a mixture may assist as well
    assert torch.equal(assisted, written(llama(1), tokens))


def test_a_conversation_goes_on_from_its_cache():
    model = mixture(gpt2(0), mistral(2, sliding_window=4))
    first = written(model, TOKENS, return_dict_in_generate=True, past_key_values=model.empty_cache())
    longer = torch.cat((first.sequences, TOKENS), dim=1)
    found = written(model, longer, past_key_values=first.past_key_values, max_new_tokens=6)
    assert torch.equal(found, written(model, longer, max_new_tokens=6))


def test_what_transformers_does_to_a_cache():
    model = mixture(gpt2(0), llama(1))
    cache = model(TOKENS, use_cache=True).past_key_values
    cache.batch_repeat_interleave(2)
    cache.batch_select_indices(torch.tensor([0, 3]))
    cache.reorder_cache(torch.tensor([1, 0]))
    cache.crop(-2)
    assert cache.get_seq_length() == TOKENS.shape[1] - 2
    found = model(TOKENS.flip(0)[:, -2:], past_key_values=cache).logits
    torch.testing.assert_close(found, model(TOKENS.flip(0)).logits[:, -2:], rtol=0, atol=1e-5)
    cache.reset()
    assert cache.get_seq_length() == 0
    assert cache.get_max_length() == -1
    assert mixture(gpt2(0), mistral(1, sliding_window=4)).empty_cache().get_max_length() == 4
