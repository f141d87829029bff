"""The parts by themselves: interpolation, axes of the batch, operands, and which modules a rule is for."""

import pytest
import torch
from torch import nn

from merge.bundles.blending.axes import BatchAxes, BatchAxisError
from merge.bundles.blending.between import between, pull
from merge.bundles.blending.choosing import _limit
from merge.bundles.blending.moment import Moment
from merge.bundles.blending.operand import Operand, UnreadableError
from merge.bundles.blending.rules import rule_for
from merge.bundles.blending.rules.attention import attention
from merge.bundles.blending.rules.norms import batch_norm, layer_norm
from merge.bundles.blending.rules.products import two_products


def test_the_ends_are_the_members_exactly():
    first, second = torch.tensor([1.1, 1e20]), torch.tensor([-3.3, 1.0])
    assert between(first, second, 1.0) is first
    assert between(first, second, 0.0) is second
    assert torch.equal(between(first, second, torch.tensor([1.0, 0.0])), torch.tensor([1.1, 1.0]))
    assert between(first[:1], second[:1], 0.25).tolist() == pytest.approx([0.25 * 1.1 - 0.75 * 3.3])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_narrow_types_are_rounded_once(kind):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(1000, generator=generator).to(kind) for _ in range(2))
    wanted = (0.3 * first.double() + 0.7 * second.double()).to(kind)
    for weight in (0.3, torch.tensor(0.3)):
        found = between(first, second, weight)
        assert found.dtype == kind
        assert (found == wanted).float().mean() > 0.99  # two roundings would be apart in a quarter of all
    pulled = second.clone()
    pull(pulled, first, torch.tensor(0.3))
    assert torch.equal(pulled, between(first, second, torch.tensor(0.3)))


@pytest.mark.parametrize(
    ("single", "several", "axis"),
    [
        ((1, 4), (3, 4), 0),
        ((4, 1, 5), (4, 3, 5), 1),
        ((6, 5), (18, 5), 0),  # windows side by side
        ((1, 4), (1, 4), None),
        ((5, 1, 8), (15, 3, 8), 1),  # padded to thrice the length as well
        ((1, 4, 8), (1, 7, 8), None),  # positions, of longer texts
    ],
)
def test_the_batch_is_where_the_shape_grows_with_it(single, several, axis):
    axes = BatchAxes()
    axes.record("layer", [torch.zeros(single)])
    assert axes.of("layer", [torch.zeros(several)], 3) == [axis]
    axes.begin()
    if axis is not None:
        later = [size // 3 * 2 if place == axis else size for place, size in enumerate(several)]
        assert axes.of("layer", [torch.zeros(later)], 2) == [axis]


def test_calls_that_were_not_seen_for_one_sample_are_refused():
    axes = BatchAxes()
    axes.record("layer", [torch.zeros(1, 2)])
    with pytest.raises(BatchAxisError, match="called in another way"):
        axes.of("other", [torch.zeros(3, 2)], 3)
    with pytest.raises(BatchAxisError, match="called in another way"):
        axes.of("layer", [torch.zeros(3, 2)] * 2, 3)
    axes.begin()
    assert axes.of("layer", [torch.zeros(3, 2)], 3) == [0]
    with pytest.raises(BatchAxisError, match="called in another way"):  # a second time
        axes.of("layer", [torch.zeros(3, 2)], 3)
    axes.begin()
    with pytest.raises(BatchAxisError, match="holds no 4 samples along axis 0"):
        axes.of("layer", [torch.zeros(6, 2)], 4)


def test_an_operand_answers_multiplies_and_refuses():
    first, second, moment = torch.randn(4, 3), torch.randn(4, 3), Moment()
    tensor, weights = torch.randn(2, 4), torch.tensor([0.25, 1.0])
    operand = Operand.of("matrix", first, second, moment)
    with moment.at(0.5), moment.record(True):
        for _ in range(4):
            tensor[:1] @ operand
    with moment.at(weights):
        assert (operand.shape, operand.dtype, operand.device.type, operand.ndim) == ((4, 3), torch.float32, "cpu", 2)
        wanted = torch.stack([row @ between(first, second, float(w)) for row, w in zip(tensor, weights, strict=True)])
        for product in (
            tensor @ operand,
            torch.matmul(tensor, operand.to(torch.float32)),
            nn.functional.linear(tensor, operand.T),
            nn.functional.linear(tensor, operand.t(), bias=None),
        ):
            torch.testing.assert_close(product, wanted)
            assert type(product) is torch.Tensor
        for refused in (operand.exp, lambda: operand @ operand.T, lambda: torch.cat([operand]), operand.detach):
            with pytest.raises(UnreadableError):
                refused()


class Padding(nn.Conv2d):
    def forward(self, tensor):
        return super().forward(tensor).relu()


def test_rules_are_for_the_methods_that_they_know():
    assert rule_for(nn.Linear(2, 2)) is two_products
    assert rule_for(nn.BatchNorm1d(2)) is rule_for(nn.BatchNorm3d(2)) is batch_norm
    assert rule_for(nn.LayerNorm(2)) is layer_norm
    assert rule_for(nn.MultiheadAttention(2, 1)) is attention
    assert rule_for(Padding(1, 1, 1)) is None
    assert rule_for(nn.LSTM(2, 2)) is None
    assert rule_for(nn.Embedding(4, 2)) is two_products
    assert rule_for(nn.Embedding(4, 2, max_norm=1.0)) is None  # changes its weights when it is called
    exchanged = nn.Linear(2, 2)
    exchanged.forward = lambda tensor: tensor
    assert rule_for(exchanged) is None


def test_members_that_are_near_one_another_are_told_apart_as_far_as_rounding_allows():
    wanted, single = torch.tensor([[8.0, -10.0]]), frozenset({torch.float32})
    assert _limit(wanted, 5.0, single, False) == pytest.approx(1e-3)
    assert _limit(wanted, 0.01, single, False) == pytest.approx(2e-4)
    assert _limit(wanted, 1e-6, single, False) == pytest.approx(5e-5)
    assert _limit(wanted, 5.0, single, True) == pytest.approx(0.05)
    assert _limit(wanted, 5.0, frozenset({torch.float32, torch.bfloat16}), False) == pytest.approx(0.6)
    assert _limit(wanted, 1e-6, frozenset({torch.float64}), True) == pytest.approx(2e-8)
