"""Batch after batch: one choice of a way, batches of any size, types narrower and wider than float32, NaN."""

import numpy as np
import pytest
import torch
from torch import nn

from merge.bundles.blending import Blending
from merge.errors import MergeError
from tests.bundles.blending_library_networks import (
    Bare,
    Curved,
    Encoder,
    bert,
    distilbert,
    gpt2,
    open_clip_vit,
    resnet,
    swin,
    vit,
)
from tests.bundles.blending_networks import (
    assert_same,
    of_class,
    of_images,
    of_texts,
    pair,
    runner,
    texts,
    truth,
)

WEIGHTS = torch.tensor([0.9, 0.1, 0.5, 0.2, 0.4])


def test_the_way_is_chosen_once_and_serves_batches_of_any_size():
    case = of_images(swin, 32)
    first, second = pair(case)
    blending, calls = Blending(first, second, where="here"), []

    def counted(indices):
        calls.append(len(indices))
        return case.logits(first, indices)

    wanted = truth(case, first, second, WEIGHTS)
    assert_same(blending.run(counted, WEIGHTS), wanted)
    assert calls.count(5) == 1
    calls.clear()
    for size in (5, 4, 3, 2, 1):
        assert_same(blending.run(counted, WEIGHTS[:size]), wanted[:size])
    assert calls == [5, 4, 3, 2, 1]
    assert blending.strategy == "modules"


def test_a_batch_of_equal_weights_is_run_at_once():
    case = of_texts(bert)
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    weights = torch.full((5,), 0.25)
    assert_same(blending.run(runner(case, first), weights), truth(case, first, second, weights))
    assert blending.strategy is None  # nothing was to be chosen


def test_texts_of_another_length_need_no_other_way():
    case = of_texts(bert)
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    blending.run(runner(case, first), WEIGHTS)
    calls = []

    def shorter(network):
        def logits(indices):
            calls.append(len(indices))
            return network(input_ids=texts()[0][indices, :5]).logits

        return logits

    found = blending.run(shorter(first), WEIGHTS)
    assert calls == [5]
    short = case._replace(logits=lambda network, indices: shorter(network)(indices))
    assert_same(found, truth(short, first, second, WEIGHTS))


@pytest.mark.parametrize("build", [bert, distilbert, gpt2, lambda: Encoder(False)])
def test_texts_may_be_padded_to_the_longest_that_is_run(build):
    def logits(network, indices):
        tokens, mask = (part[indices] for part in texts())
        longest = int(mask.sum(1).max())
        tokens, mask = (tokens * mask)[:, :longest], mask[:, :longest]
        if isinstance(network, Encoder):
            return network(tokens, mask == 0)
        return network(input_ids=tokens, attention_mask=mask).logits

    case = of_texts(build)._replace(logits=logits)
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    assert_same(blending.run(runner(case, first), WEIGHTS), truth(case, first, second, WEIGHTS))
    assert blending.strategy == "modules"


def test_another_way_is_chosen_when_a_later_batch_is_unlike_the_first():
    case = of_texts(bert)
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    blending.run(runner(case, first), WEIGHTS)
    twice = case._replace(logits=lambda network, indices: case.logits(network, indices) + case.logits(network, indices))
    assert_same(blending.run(runner(twice, first), WEIGHTS), truth(twice, first, second, WEIGHTS))
    assert blending.strategy == "modules"


class Centred(nn.Module):
    """Every sample's output depends on all samples of the batch."""

    def __init__(self):
        super().__init__()
        self.layer, self.last = nn.Linear(7, 8), nn.Linear(8, 3)

    def forward(self, tokens, padding):
        hidden = torch.tanh(self.layer(tokens.float() / 30))
        return self.last(hidden - 0.5 * hidden.mean(0))


class Stubborn(Bare):
    """Depends on values, and so cannot be run under vmap; and on the batch."""

    def forward(self, tokens, padding):
        logits = super().forward(tokens, padding)
        return logits / (1 + logits.abs().max().item())


@pytest.mark.parametrize(("build", "strategy"), [(Centred, "vmap"), (Stubborn, "one by one")])
def test_a_way_that_does_not_agree_with_the_truth_is_not_taken(build, strategy):
    case = of_class(build)
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    found = blending.run(runner(case, first), WEIGHTS)
    assert blending.strategy == strategy
    assert_same(found, truth(case, first, second, WEIGHTS))


def test_equal_weights_are_run_together_one_by_one():
    case, calls = of_class(Stubborn), []
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    blending.run(runner(case, first), WEIGHTS)

    def counted(indices):
        calls.append(indices.tolist())
        return case.logits(first, indices)

    blending.run(counted, torch.tensor([0.5, 0.2, 0.5, 0.2, 0.2]))
    assert calls == [[1, 3, 4], [0, 2]]


def test_nan_in_one_sample_stays_there_and_nothing_is_concluded_from_it():
    case = of_images(vit)
    first, second = pair(case)

    def broken(network):
        def logits(indices):
            found = case.logits(network, indices)
            return torch.where(torch.tensor(indices == 2)[:, None], torch.nan, found)

        return logits

    blending = Blending(first, second, where="here")
    found = blending.run(broken(first), WEIGHTS)
    assert blending.strategy is None
    wanted = truth(case, first, second, WEIGHTS)
    assert found[2].isnan().all()
    keep = [0, 1, 3, 4]
    assert_same(found[keep], wanted[keep])
    assert_same(blending.run(runner(case, first), WEIGHTS), wanted)
    assert blending.strategy == "modules"


def test_double_networks_keep_their_precision():
    for case in (of_images(vit), of_class(Curved)):
        first, second = (network.double() for network in pair(case))
        wide = case._replace(logits=_double_logits if case.build is vit else case.logits)
        blending = Blending(first, second, where="here")
        weights = WEIGHTS.double() + 1e-9
        found = blending.run(runner(wide, first), weights)
        torch.testing.assert_close(found, truth(wide, first, second, weights), rtol=0, atol=1e-12)


def _double_logits(network, indices):
    from tests.bundles.blending_networks import images

    return network(images().double()[indices])[0]


@pytest.mark.parametrize("build", [bert, vit, open_clip_vit, resnet])
@pytest.mark.parametrize("whole", [False, True])
def test_half_precision(build, whole):
    """Under autocast, and with networks of that type."""
    plain = of_texts(bert) if build is bert else of_images(build, 32 if build is resnet else 16)
    first, second = pair(plain)
    wanted = truth(plain, first, second, WEIGHTS)
    from tests.bundles.blending_networks import images

    def narrow(indices):
        if not whole:
            with torch.autocast("cpu", torch.bfloat16):
                return plain.logits(first, indices).float()
        if build is bert:
            return plain.logits(first, indices).float()
        output = first(images(32 if build is resnet else 16).bfloat16()[indices])
        return (output if isinstance(output, torch.Tensor) else output[0]).float()

    if whole:
        first, second = first.bfloat16(), second.bfloat16()
    blending = Blending(first, second, where="here")
    with torch.inference_mode():
        found = blending.run(narrow, WEIGHTS)
        near = []
        for index, weight in enumerate(WEIGHTS.tolist()):
            with blending.uniform(weight):
                near.append(narrow(np.array([index])))
    assert blending.strategy == "modules"
    limit = 0.04 * float(wanted.abs().max())
    torch.testing.assert_close(found, torch.cat(near), rtol=0, atol=limit)
    torch.testing.assert_close(found, wanted, rtol=0, atol=limit)


def test_gradients_are_left_alone():
    case = of_texts(bert)
    first, second = pair(case)
    found = Blending(first, second, where="here").run(runner(case, first), WEIGHTS)
    assert not found.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("build", [bert, vit, open_clip_vit, resnet])
def test_on_a_gpu(build):
    plain = of_texts(bert) if build is bert else of_images(build, 32 if build is resnet else 16)
    first, second = pair(plain)
    wanted = truth(plain, first, second, WEIGHTS)
    from tests.bundles.blending_networks import images

    first, second = first.cuda(), second.cuda()

    def logits(indices):
        if build is bert:
            tokens, mask = (part.cuda() for part in texts())
            return first(input_ids=tokens[indices], attention_mask=mask[indices]).logits
        output = first(images(32 if build is resnet else 16).cuda()[indices])
        return output if isinstance(output, torch.Tensor) else output[0]

    blending = Blending(first, second, where="here")
    found = blending.run(logits, WEIGHTS)  # weights on the CPU
    assert blending.strategy == "modules"
    torch.testing.assert_close(found.cpu(), wanted, rtol=0, atol=2e-3 * float(wanted.abs().max()))  # TF32 may be on


class Wide(nn.Module):
    """One large matrix in a form that no product knows, and small layers."""

    runs = 0

    def __init__(self):
        super().__init__()
        self.matrix, self.layer = nn.Parameter(torch.randn(7, 64) / 8), nn.Linear(64, 3)

    def forward(self, tokens, padding):
        Wide.runs += 1
        return self.layer(torch.tanh((tokens.float() / 30) @ torch.exp(self.matrix)))


def test_matrices_of_all_samples_are_never_held_together():
    case = of_class(Wide)
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    wanted = truth(case, first, second, WEIGHTS)
    blending.run(runner(case, first), WEIGHTS)
    Wide.runs = 0
    assert_same(blending.run(runner(case, first), WEIGHTS), wanted)
    assert blending.strategy == "vmap"
    assert Wide.runs == 5  # the matrix is most of the network: a sample at a time


def test_torch_attention_with_masks_weights_and_other_keys():
    class Attending(nn.Module):
        def __init__(self, batch_first):
            super().__init__()
            self.batch_first = batch_first
            self.embedding, self.head = nn.Embedding(60, 8), nn.Linear(8, 3)
            self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)

        def forward(self, tokens, padding):
            hidden = self.embedding(tokens)
            mask = torch.ones(3, 7).triu(5).bool()
            query, keys = (hidden[:, :3], hidden * 2)
            if not self.batch_first:
                query, keys = query.transpose(0, 1), keys.transpose(0, 1)
            found, looked = self.attention(query, keys, keys + 1, key_padding_mask=padding, attn_mask=mask)
            found = found if self.batch_first else found.transpose(0, 1)
            return self.head(found.mean(1)) + looked.mean(1)[:, :3]

    for batch_first in (True, False):
        case = of_class(lambda batch_first=batch_first: Attending(batch_first))
        first, second = pair(case)
        blending = Blending(first, second, where="here")
        assert_same(blending.run(runner(case, first), WEIGHTS), truth(case, first, second, WEIGHTS))
        assert blending.strategy == "modules"


def test_the_encoder_computes_the_same_without_padding():
    case = of_class(lambda: Encoder(True))
    case = case._replace(logits=lambda network, indices: network(texts()[0][indices], None))
    first, second = pair(case)
    blending = Blending(first, second, where="here")
    assert_same(blending.run(runner(case, first), WEIGHTS), truth(case, first, second, WEIGHTS))


def test_what_a_network_raises_is_seen_behind_a_message_for_the_user():
    case = of_images(swin, 32)  # some of its methods must be run under vmap: errors tell which
    first, second = pair(case)

    def worded(indices):
        try:
            return case.logits(first, indices)
        except RuntimeError as error:
            raise MergeError("the network failed") from error

    blending = Blending(first, second, where="here")
    assert_same(blending.run(worded, WEIGHTS), truth(case, first, second, WEIGHTS))
    assert blending.strategy == "modules"
