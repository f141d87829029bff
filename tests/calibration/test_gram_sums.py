"""Sums of Gram matrices: oracles of the specification, padding, shared inputs, going on from a state."""

from __future__ import annotations

import json

import pytest
import torch

from merge.calibration.facts import IN_OUT
from merge.calibration.gram_sums import GramSums
from merge.calibration.masks import Masks
from merge.calibration.watch import OUT_IN
from merge.errors import MergeError

X = torch.tensor([[1.0, 2], [3, -1], [5, 5]], dtype=torch.float64)
COUNTED = torch.tensor([[True, True, False]])
WHOLE = torch.tensor([[35 / 3, 8], [8, 10]], dtype=torch.float64)
MASKED = torch.tensor([[5, -0.5], [-0.5, 2.5]], dtype=torch.float64)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def sums_of(*batches: torch.Tensor, counted: torch.Tensor | None = None) -> GramSums:
    sums = GramSums("model")
    for batch in batches:
        sums.masks = Masks({"input_ids": counted} if counted is not None else None)
        sums.observe("w", batch, OUT_IN)
        sums.end_batch()
    return sums


def test_oracle_r3_all_rows():
    grams = sums_of(X[None]).grams()
    close(grams.means["w"], WHOLE)
    assert grams.rows == {"w": 3}


@pytest.mark.parametrize("shape", [(1, 3, 2), (3, 1, 2), (3, 2)], ids=str)
def test_oracle_r3_without_padding(shape):
    """Items first, tokens first, and flattened."""
    grams = sums_of(X.reshape(shape), counted=COUNTED).grams()
    close(grams.means["w"], MASKED)
    assert grams.rows == {"w": 2}


def test_oracle_r3_row_by_row():
    close(sums_of(X[:1], X[1:2]).grams().means["w"], MASKED)


def test_equal_numbers_of_rows_do_not_matter_but_rows_do():
    """The mean is over rows, so a long batch weighs more than a short one."""
    close(sums_of(X[:2], X[2:]).grams().means["w"], WHOLE)


def test_padding_that_is_not_finite_does_no_harm():
    broken = X.clone()
    broken[2] = torch.nan
    close(sums_of(broken[None], counted=COUNTED).grams().means["w"], MASKED)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_activations_that_are_not_finite_are_an_error_that_names_the_layer(value):
    with pytest.raises(MergeError, match=r"model: the inputs of 'w' are not finite"):
        sums_of(torch.tensor([[1.0, value]]))


def test_pooled_inputs_have_no_padding():
    grams = sums_of(X, counted=torch.tensor([[True, False], [True, False], [True, True]])).grams()
    assert grams.rows == {"w": 3}


def test_masks_reach_over_further_dimensions():
    groups = torch.stack([X, 2 * X], 1)[None]  # [items, tokens, groups, inputs]
    grams = sums_of(groups, counted=COUNTED).grams()
    assert grams.rows == {"w": 4}
    close(grams.means["w"], (MASKED + 4 * MASKED) / 2)


def test_half_precision_is_not_multiplied_in_half_precision():
    rows = torch.full((4096, 1), 1.0, dtype=torch.bfloat16)
    assert sums_of(rows).grams().means["w"].item() == 1
    assert sums_of(100 * rows).grams().means["w"].item() == 10000


def test_float32_sums_do_not_drift():
    rows = torch.full((1, 1), 0.1)
    product = rows.double().square().float().item()
    assert sums_of(*[rows] * 5000).grams().means["w"].item() == pytest.approx(product, rel=1e-7)


def test_matrices_are_exactly_symmetric():
    mean = sums_of(torch.randn(50, 30, generator=torch.Generator().manual_seed(0))).grams().means["w"]
    assert torch.equal(mean, mean.T)


def observed(sums: GramSums, *products: tuple[str, torch.Tensor]) -> GramSums:
    for name, inputs in products:
        sums.observe(name, inputs, OUT_IN)
    sums.end_batch()
    return sums


def test_the_very_same_input_is_shared():
    x, y = X.clone(), X.clone()
    sums = observed(GramSums("model"), ("q", x), ("k", x), ("v", x), ("fc", y))
    grams = observed(sums, ("q", y), ("k", y), ("v", y), ("fc", x)).grams()
    assert grams.aliases == {"k": "q", "v": "q"}
    assert set(grams.means) == {"q", "fc"}
    assert grams.rows == {"q": 6, "fc": 6}
    assert set(grams.layouts) == {"q", "k", "v", "fc"}


def test_an_input_that_was_changed_in_place_is_another():
    x, sums = X.clone(), GramSums("model")
    sums.observe("q", x, OUT_IN)
    x += 1
    sums.observe("k", x, OUT_IN)
    sums.end_batch()
    grams = sums.grams()
    assert not grams.aliases
    close(grams.means["k"], (X + 1).T @ (X + 1) / 3)


def test_shared_inputs_that_part_are_an_error():
    sums = observed(GramSums("model"), ("q", X), ("k", X))
    with pytest.raises(MergeError, match="'q' and 'k' had the same inputs in one batch, but not in another"):
        observed(sums, ("q", X.clone()), ("k", X.clone()))
    with pytest.raises(MergeError, match="'q' and 'k'"):
        observed(observed(GramSums("model"), ("q", X), ("k", X)), ("q", X))


def test_inputs_that_were_shared_for_a_part_of_the_first_batch_only():
    """A layer that runs twice: what it shares once is not what it has."""
    other = X + 1
    grams = observed(GramSums("model"), ("a", X), ("b", X), ("a", other), ("c", X)).grams()
    assert grams.aliases == {"c": "b"}
    close(grams.means["b"], WHOLE)
    close(grams.means["a"], (X.T @ X + other.T @ other) / 6)


def test_what_runs_in_a_later_batch_for_the_first_time_is_counted_from_then_on():
    """An expert that no token of the first batch was sent to."""
    x = X.clone()
    sums = observed(GramSums("model"), ("a", X))
    grams = observed(sums, ("a", x), ("gate", x), ("up", x)).grams()
    assert grams.rows == {"a": 6, "gate": 3}
    assert grams.aliases == {"up": "gate"}


def test_no_row_no_matrix():
    grams = observed(GramSums("model"), ("expert", X[:0]), ("a", X)).grams()
    assert set(grams.means) == {"a"}


def test_an_owner_that_is_left_out_hands_its_matrix_on():
    grams = observed(GramSums("model"), ("head", X), ("value", X), ("more", X)).grams(left_out={"head"})
    assert set(grams.means) == {"value"}
    assert grams.aliases == {"more": "value"}
    assert grams.rows == {"value": 3}


def test_a_parameter_used_both_ways_has_no_matrix():
    sums = GramSums("model")
    sums.observe("w", X, OUT_IN)
    sums.observe("w", X, IN_OUT)
    sums.end_batch()
    assert not sums.grams().means
    assert sums.mixed == {"w"}


def test_going_on_from_a_state_gives_the_same_bits():
    x = [torch.randn(5, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    whole = GramSums("model")
    for rows in x:
        observed(whole, ("q", rows), ("k", rows))
    first = observed(observed(GramSums("model"), ("q", x[0]), ("k", x[0])), ("q", x[1]), ("k", x[1]))
    tensors, notes = first.state()
    second = GramSums("model")
    second.restore({name: tensor.clone() for name, tensor in tensors.items()}, json.loads(json.dumps(notes)), "cpu")
    for rows in x[2:]:
        observed(second, ("q", rows), ("k", rows))
    one, other = whole.grams(), second.grams()
    assert torch.equal(one.means["q"], other.means["q"])
    assert (one.rows, one.aliases, one.layouts) == (other.rows, other.aliases, other.layouts)


def test_masks_are_of_one_batch_only():
    sums = sums_of(X[None], counted=COUNTED)
    sums.observe("w", X[None], OUT_IN)
    sums.end_batch()
    assert sums.grams().rows == {"w": 5}


def test_an_input_is_told_by_mark_then_stream_then_shape():
    masks = Masks({"a": torch.tensor([[True, False]]), "b": torch.tensor([[False, True]])})
    x = torch.zeros(1, 2, 3)
    assert masks.rows(x).tolist() == [[True, False]]
    masks.last = "b"
    assert masks.rows(x).tolist() == [[False, True]]
    masks.stream = "a"
    assert masks.rows(x).tolist() == [[True, False]]
    masks.mark(x, "b")
    assert masks.rows(x).tolist() == [[False, True]]
    masks.mark(x, "a")  # the first mark stands
    assert masks.rows(x).tolist() == [[False, True]]
    masks.stream = "pixels"  # an input without a mask
    assert masks.rows(torch.zeros(1, 2, 3)) is None
