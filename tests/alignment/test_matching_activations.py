"""Activation matching: shuffled networks are put in order by what they do over data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import distance, moved, random_orders, shuffled
from running_models import (
    Attention,
    Filters,
    Perceptron,
    RunningSample,
    RunningSubject,
    attention_groups,
    filters_groups,
    images,
    made,
    perceptron_groups,
    state_of,
    texts,
    with_state,
)

from merge.alignment.declared import AlignmentOptions
from merge.alignment.groups import Group, Groups
from merge.alignment.matching import StateReader, activations, match_activations
from merge.alignment.matching.moments import Moments
from merge.errors import MergeError
from merge.evaluation.task import Settings

CASES = {
    "perceptron": (Perceptron, perceptron_groups, lambda: images(50, 6)),
    "filters": (Filters, filters_groups, lambda: images(40, 3, 4, 4)),
    "attention": (Attention, attention_groups, texts),
}


def match(one, other, sample, groups, *, note=None, batch_size=7, **options):
    subjects = RunningSubject("one", one), RunningSubject("other", other)
    readers = StateReader("one", one.state_dict()), StateReader("other", other.state_dict())
    settings = Settings(batch_size=batch_size)
    return match_activations(subjects, sample, readers, groups, AlignmentOptions(**options), settings, note=note)


@pytest.mark.parametrize("metric", ["correlation", "inner"])
@pytest.mark.parametrize("case", CASES)
def test_a_shuffled_network_is_put_in_order(case, metric):
    make, groups, sample = CASES[case][0], CASES[case][1](), CASES[case][2]()
    for seed in range(3):
        one = made(make, seed)
        state = state_of(one)
        other = shuffled(state, groups, seed)
        found = match(one, with_state(make, other), sample, groups, metric=metric)
        # inner products tell units apart less well, since large ones are like everything
        assert metric == "inner" or distance(state, moved(other, groups, found.orders)) == 0
        assert set(found.orders) == set(groups.groups)
        assert found.report.objective_after >= found.report.objective_before
        if metric == "correlation":
            assert found.report.distance_after == 0 < found.report.distance_before
            assert all(group.cosine == pytest.approx(1, abs=1e-4) for group in found.report.groups.values())
            assert found.report.same_basin < 0.9


def test_units_of_inner_products_are_put_in_order_where_they_are_alike_in_size():
    groups = perceptron_groups()
    one = made(Perceptron, 0)
    other = shuffled(state_of(one), groups, 0)
    by_hand = torch.relu(one.first(images(50, 6).inputs["pixels"])).double()
    units = torch.relu(with_state(Perceptron, other).first(images(50, 6).inputs["pixels"])).double()
    products = (by_hand.T @ units / 50).detach().numpy()
    found = match(one, with_state(Perceptron, other), images(50, 6), groups, metric="inner")
    import scipy.optimize

    _, best = scipy.optimize.linear_sum_assignment(products, maximize=True)
    order = found.orders["a"]
    assert products[np.arange(14), order].sum() == pytest.approx(products[np.arange(14), best].sum())


def test_correlations_are_those_that_numpy_gives():
    groups = perceptron_groups()
    one, other = made(Perceptron, 0), made(Perceptron, 1)
    sample = images(50, 6)
    found = match(one, other, sample, groups)
    pixels = sample.inputs["pixels"]
    with torch.no_grad():
        units = [model.first(pixels).relu().double().numpy() for model in (one, other)]
    alive = [unit.std(0) > 0 for unit in units]
    whole = np.zeros((14, 14))
    whole[np.ix_(*alive)] = np.corrcoef(*(unit[:, kept].T for unit, kept in zip(units, alive, strict=True)))[
        : alive[0].sum(), alive[0].sum() :
    ]
    import scipy.optimize

    _, best = scipy.optimize.linear_sum_assignment(whole, maximize=True)
    assert found.orders["a"].tolist() == best.tolist()
    matched = whole[np.arange(14), best]
    assert found.report.groups["a"].cosine == pytest.approx(matched[matched != 0].mean())


def test_batches_of_any_size_give_the_same_orders():
    groups = attention_groups()
    one, other = made(Attention, 0), made(Attention, 1)
    found = [match(one, other, texts(), groups, batch_size=size) for size in (1, 5, 40)]
    for name in groups.groups:
        assert (found[0].orders[name] == found[1].orders[name]).all()
        assert (found[0].orders[name] == found[2].orders[name]).all()
    assert found[0].report.objective_after == pytest.approx(found[2].report.objective_after)


def test_a_network_stays_as_it_is_beside_itself():
    groups = attention_groups()
    one = made(Attention, 0)
    notes = []
    found = match(one, one, texts(), groups, note=notes.append)
    assert all((order == np.arange(order.shape[-1])).all() for order in found.orders.values())
    assert found.report.same_basin == 1
    assert "share an ancestor" in notes[0]


def test_dead_units_stay_and_give_no_nan():
    groups = perceptron_groups()
    one = made(Perceptron, 0)
    with torch.no_grad():
        one.first.weight[[2, 5]], one.first.bias[[2, 5]] = 0, -1
    found = match(one, one, images(50, 6), groups)
    assert found.orders["a"].tolist() == list(range(14))
    assert np.isfinite(found.report.objective_after)
    assert found.report.groups["a"].cosine == pytest.approx(1)


def test_padding_does_not_count():
    groups = attention_groups()
    one, other = made(Attention, 0), made(Attention, 1)
    plain = match(one, other, texts(), groups)
    tokens = torch.cat([texts().inputs["tokens"], torch.full((40, 5), 3)], 1)
    counted = torch.arange(11).expand(40, 11) < 6
    padded = match(one, other, RunningSample({"tokens": tokens}, counted), groups)
    assert padded.report.objective_after == pytest.approx(plain.report.objective_after, rel=1e-5)
    unmasked = match(one, other, RunningSample({"tokens": tokens}), groups)
    assert unmasked.report.objective_after != pytest.approx(plain.report.objective_after, rel=1e-3)


def test_several_passes_give_what_one_gives(monkeypatch):
    groups = perceptron_groups()
    one, other = made(Perceptron, 0), made(Perceptron, 1)
    single, several = images(50, 6), images(50, 6)
    expected = match(one, other, single, groups)
    monkeypatch.setattr(activations, "MOST_BYTES", 1)
    notes = []
    found = match(one, other, several, groups, note=notes.append)
    assert (single.passes, several.passes) == (1, 2)
    assert "run 2 times" in notes[0]
    assert all((found.orders[name] == expected.orders[name]).all() for name in groups.groups)


def test_a_group_that_no_matrix_reads_stays_with_a_note():
    groups = perceptron_groups()
    only_bias = Group("only", 10, tuple(m for m in groups.groups["b"].members if m.tensor == "second.bias"))
    notes = []
    found = match(
        made(Perceptron, 0), made(Perceptron, 1), images(50, 6), Groups({"only": only_bias}), note=notes.append
    )
    assert found.orders == {}
    assert notes[0].startswith("'only' stays as it is")


def test_only_the_kinds_that_are_named_move():
    groups = attention_groups()
    one = made(Attention, 0)
    other = moved(state_of(one), groups, random_orders(groups, 0, "heads"))
    found = match(one, with_state(Attention, other), texts(), groups, only="heads")
    assert list(found.orders) == ["heads"]
    assert found.report.distance_after == 0


def test_activations_that_are_not_finite_are_refused():
    groups = perceptron_groups()
    other = made(Perceptron, 1)
    with torch.no_grad():
        other.first.bias[0] = 3e38
        other.first.weight[0] = 3e38
    with pytest.raises(MergeError, match=r"other: the inputs of 'second\.weight' are not finite"):
        match(made(Perceptron, 0), other, images(50, 6), groups)


def test_tied_embeddings_are_read_where_they_give_logits():
    class Tied(Attention):
        def __init__(self) -> None:
            super().__init__()
            self.out.weight = self.embed.weight

    groups = attention_groups()
    one = made(Tied, 0)
    state = state_of(one)
    other = shuffled(state, groups, 0)
    found = match(one, with_state(Tied, other), texts(), groups)
    assert distance(state, moved(other, groups, found.orders)) == 0


def test_moments_of_parts_are_those_of_the_whole():
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(300, 5, generator=generator) * 3 + 1000 for _ in range(2))
    other[:, 2] = 7
    moments = Moments(5, "cpu")
    for first in range(0, 300, 70):
        moments.add("here", one[first : first + 70], other[first : first + 70])
    kept = [0, 1, 3, 4]
    expected = np.corrcoef(one.double().T.numpy(), other[:, kept].double().T.numpy())[:5, 5:]
    found = moments.correlation()
    np.testing.assert_allclose(found[:, kept], expected, atol=1e-10)
    assert (found[:, 2] == 0).all()
    np.testing.assert_allclose(moments.inner(), (one.double().T @ other.double() / 300).numpy(), rtol=1e-12)


def test_two_places_have_means_of_their_own():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(100, 3, generator=generator) for _ in range(2))
    near, far = Moments(3, "cpu"), Moments(3, "cpu")
    for moments, shift in ((near, 0.0), (far, 50.0)):
        moments.add("a", first, second)
        moments.add("b", first + shift, second + shift)
    np.testing.assert_allclose(near.correlation(), far.correlation(), atol=1e-6)


def test_what_several_matrices_read_counts_once():
    """Queries, keys and values read the same states: once; the output reads others."""
    groups = attention_groups()
    one, other = made(Attention, 0), made(Attention, 1)
    sample = texts()
    found = match(one, other, sample, groups, only="residual", metric="inner")
    with torch.no_grad():
        read = [_states(model, sample.inputs["tokens"]) for model in (one, other)]
    expected = sum(first.T @ second for first, second in zip(*read, strict=True)) / (2 * 240)
    assert found.report.objective_before == pytest.approx(float(expected.trace()), rel=1e-5)


def _states(model, tokens):
    """Return what the attention reads, and what the output reads: [rows, width] each."""
    kept = []
    handles = [
        layer.register_forward_pre_hook(lambda _, given: kept.append(given[0])) for layer in (model.q, model.out)
    ]
    model(tokens)
    for handle in handles:
        handle.remove()
    return [states.flatten(0, 1).double() for states in kept]
