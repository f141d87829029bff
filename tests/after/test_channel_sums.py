"""Mean and variance of channels: exact, and the same for any cut into batches."""

from __future__ import annotations

import pytest
import torch

from merge.after.channel_sums import ChannelSums, moments_of
from merge.after.passes import even_size
from merge.errors import MergeError


@pytest.mark.parametrize("size", [1, 7, 100])
def test_any_cut_into_batches_gives_mean_and_unbiased_variance_of_all(size):
    rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) * 1e-3 + 1e3  # far from 0, close together
    sums = ChannelSums("a model")
    for part in rows.split(size):
        sums.add("layer", part)
    found = sums.moments["layer"]
    assert found.count == 100
    assert torch.allclose(found.mean, rows.double().mean(0), rtol=1e-14)
    assert torch.allclose(found.variance, rows.double().var(0), rtol=1e-9)


def test_rows_are_taken_a_part_at_a_time_with_the_same_outcome(monkeypatch):
    rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) + 5
    whole = moments_of(rows)
    monkeypatch.setattr("merge.after.channel_sums.MOST_AT_ONCE", 20)
    doubled = []
    plain = torch.Tensor.double
    monkeypatch.setattr(torch.Tensor, "double", lambda self: doubled.append(self) or plain(self))
    parts = moments_of(rows)
    assert max(map(len, doubled)) == 6
    assert parts.count == whole.count == 100
    assert torch.allclose(parts.mean, whole.mean, rtol=1e-14)
    assert torch.allclose(parts.variance, whole.variance, rtol=1e-13)


def test_no_rows_are_nothing_and_a_single_one_has_no_variance():
    sums = ChannelSums("a model")
    assert sums.add("layer", torch.zeros(0, 2)) is None
    sums.add("layer", torch.tensor([[3.0, 4.0]]))
    assert sums.moments["layer"].mean.tolist() == [3.0, 4.0]
    assert sums.moments["layer"].variance.tolist() == [0.0, 0.0]


def test_what_is_not_finite_is_refused():
    with pytest.raises(MergeError, match="the activations at 'layer' are not finite"):
        ChannelSums("a model").add("layer", torch.tensor([[1.0], [float("inf")]]))


def test_the_last_batch_is_at_least_half_full():
    assert even_size(256, 128) == 128
    assert even_size(1257, 128) == 128  # leaves 105
    assert even_size(257, 128) == 102  # 102, 102 and 53 rather than 128, 128 and 1
    assert even_size(10, 128) == 10
    assert even_size(3, 1) == 1
