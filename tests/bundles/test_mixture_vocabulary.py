"""Vocabularies that agree, and where they do not: shown, or aligned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from transformers import PreTrainedTokenizerFast

from merge.bundles.combine import Combination, combined
from merge.bundles.mixture.token_maps import TokenMap, indices_of, runs_of
from merge.bundles.vocabulary import common_vocabulary, union_tokenizer
from merge.errors import MergeError, UsageError

NAMES = ("first", "second")
MERGES = [("a", "b"), ("c", "d"), ("b", "c"), ("ab", "cd")]


def words(*tokens, **roles):
    """A tokenizer of single letters."""
    tokenizer = Tokenizer(WordLevel({token: index for index, token in enumerate(tokens)}, unk_token="<u>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    roles = {"unk_token": "<u>" if "<u>" in tokens else None, "eos_token": "<s>", **roles}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def pieces(merges=MERGES, order="abcd", pre=True, **roles):
    """A tokenizer of bytes and merges, with one token for the end."""
    alphabet = [*order, *(byte for byte in sorted(pre_tokenizers.ByteLevel.alphabet()) if byte not in "abcd")]
    tokens = [*alphabet, "ab", "cd", "bc", "abcd", "<s>"]
    model = BPE({token: index for index, token in enumerate(tokens)}, merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{"eos_token": "<s>", **roles})


def refusal(first, second, **options):
    with pytest.raises(MergeError) as error:
        common_vocabulary([first, second], NAMES, **options)
    return str(error.value)


def test_the_same_tokenizer():
    found = common_vocabulary([pieces(), pieces(), pieces()], "abc")
    assert (found.size, found.rows, found.indices) == (261, (261, 261, 261), None)
    assert common_vocabulary([pieces(), pieces()], NAMES, "union", "probs") == common_vocabulary(
        [pieces(), pieces()], NAMES
    )


def test_the_first_index_that_differs_is_shown():
    found = refusal(pieces(), pieces(order="acbd"))
    assert "token 1 is 'b' in first and 'c' in second" in found
    assert "--align intersection" in found
    longer = pieces()
    longer.add_tokens(["more"])
    assert "token 261 is nothing in first and 'more' in second" in refusal(pieces(), longer)


def test_added_tokens_count_with_how_they_are_found():
    first, second = pieces(), pieces()
    first.add_tokens([AddedToken("<x>", lstrip=True)])
    second.add_tokens([AddedToken("<x>")])
    found = refusal(first, second)
    assert "the added tokens differ: token 261" in found
    assert "lstrip=True" in found


def test_texts_must_end_alike():
    other = pieces()
    other.eos_token = "a"
    assert "the eos_token is '<s>' in first and 'a' in second" in refusal(pieces(), other)
    assert "the bos_token is 'b' in first and 'c' in second" in refusal(pieces(bos_token="b"), pieces(bos_token="c"))
    common_vocabulary([pieces(), pieces(pad_token="<s>")], NAMES)  # one that has none pads nothing


def test_the_same_tokens_cut_otherwise():
    found = refusal(pieces(), pieces([("b", "c"), ("a", "b"), ("c", "d"), ("ab", "cd")]))
    assert "merge 0 is ['a', 'b'] and ['b', 'c']" in found
    assert "pre_tokenizer is" in refusal(pieces(), pieces(pre=False))


def test_a_slow_tokenizer_is_judged_by_texts():
    class Slow:
        def __init__(self, tokenizer, swap):
            self.tokenizer, self.swap = tokenizer, swap

        def __getattr__(self, name):
            if name == "backend_tokenizer":
                raise AttributeError(name)
            return getattr(self.tokenizer, name)

        def tokenize(self, text):
            found = self.tokenizer.tokenize(text)
            return found[::-1] if self.swap else found

    common_vocabulary([Slow(pieces(), False), Slow(pieces(), False)], NAMES)
    found = refusal(Slow(pieces(), False), Slow(pieces(), True))
    assert 'the tokenizers cut "The quick brown fox' in found
    assert "['T', 'h', 'e'" in found


def test_tokens_that_all_have():  # M5
    a, b = words("<s>", "a", "b", "c"), words("b", "<s>", "d", "a")
    found = common_vocabulary([a, b], NAMES, "intersection")
    assert found.indices == ((0, 1, 2, -1), (1, 3, 0, -1))
    assert found.size == 4
    mixed = mix(found, "logits")
    np.testing.assert_allclose(mixed, (0.1003675647, 0.4498162177, 0.4498162177, 0), rtol=0, atol=1e-9)


def test_tokens_that_any_has():  # M5
    a, b = words("<s>", "a", "b", "c"), words("b", "<s>", "d", "a")
    found = common_vocabulary([a, b], NAMES, "union", "probs")
    assert found.indices == ((0, 1, 2, 3, -1), (1, 3, 0, -1, 2))
    assert (found.size, found.added, found.stand_ins) == (5, ("d",), (0, 1))
    wanted = (0.0236390161, 0.0998007662, 0.1391267575, 0.3219571299, 0.4154763303)
    np.testing.assert_allclose(mix(found, "probs"), wanted, rtol=0, atol=1e-9)
    tokenizer = union_tokenizer(a, found)
    assert tokenizer("abcd")["input_ids"] == [1, 2, 3, 4]
    assert len(a) == 4


def mix(vocabulary, combine):
    import torch

    logits = [torch.tensor(each, dtype=torch.float64) for each in ((0.0, 1, 2, 3), (1.0, 0, 4, 2))]
    maps = [TokenMap(indices, None, name) for indices, name in zip(vocabulary.indices, NAMES, strict=True)]
    parts = [view.write(one) for view, one in zip(maps, logits, strict=True)]
    return combined(parts, Combination(combine), NAMES).softmax(-1).numpy()


def test_a_union_needs_probabilities():
    with pytest.raises(UsageError, match="a union of vocabularies needs probabilities"):
        common_vocabulary([pieces(), pieces()], NAMES, "union", "logits")
    with pytest.raises(UsageError, match="did you mean 'union'"):
        common_vocabulary([pieces(), pieces()], NAMES, "unoin", "probs")


def test_aligned_vocabularies_must_cut_alike_too():
    a, b = words("<u>", "<s>", "T", "h"), words("<u>", "<s>", "h", "e")
    common_vocabulary([a, b], NAMES, "intersection")  # what one of them lacks may be anything
    whole = words("<u>", "<s>", "T", "h", "Th")
    whole.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"Th|[\s\S]"), "isolated")
    assert "pre_tokenizer is" in refusal(a, whole, align="intersection")
    other_merges = pieces([("b", "c"), ("a", "b"), ("c", "d"), ("ab", "cd")])
    assert "differently: " in refusal(pieces(), other_merges, align="intersection")


def test_an_added_token_of_one_leaves_the_rest_in_place():
    chat = pieces()
    chat.add_tokens(["<im>"], special_tokens=True)
    found = common_vocabulary([chat, pieces()], NAMES, "intersection")
    assert found.indices[1] == (*range(261), -1)
    assert [runs_of(indices) for indices in found.indices] == [[[0, 261], [-1, 1]]] * 2


def test_nothing_in_common():
    a, b = words("a", "b", eos_token=None), words("c", "d", eos_token=None)
    assert "no token in common" in refusal(a, b, align="intersection")


@pytest.mark.parametrize("indices", [(), (0, 1, 2), (2, 1, 0), (-1, -1, 0, 1, -1, 5, 6), (0, -1, 0, 1)])
def test_runs(indices):
    assert tuple(indices_of(runs_of(indices))) == indices


def test_what_an_expert_reads():
    import torch

    tokens, attended = torch.tensor([[0, 1], [2, 0]]), torch.tensor([[0, 1], [1, 1]])
    assert TokenMap((-1, 3, 4), 9, "x").read(tokens, None).tolist() == [[9, 3], [4, 9]]
    with pytest.raises(MergeError, match="x: the expert has no token for token 0 of the mixture"):
        TokenMap((-1, 3, 4), None, "x").read(tokens, attended)
    assert TokenMap((-1, 3, 4), None, "x").read(tokens[:1], attended[:1]).tolist() == [[0, 3]]
    assert TokenMap((-1, 1, 0), None, "x").write(torch.tensor([1.0, 2.0])).tolist() == [-math.inf, 2, 1]
