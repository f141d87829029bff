"""Joint statistics: Gram matrices of both networks' inputs, and how alike matched units are, against numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from planted import groups_of, moved, random_orders
from running_models import (
    Attention,
    Filters,
    Perceptron,
    RunningSample,
    attention_groups,
    filters_groups,
    images,
    made,
    perceptron_groups,
    state_of,
    texts,
    with_state,
)
from wide_models import Pair, computed, joint_of, matching_of
from wide_networks import Classifier, Overwriting, Routed, Tied

from merge.calibration.masks import Masks
from merge.errors import MergeError
from merge.partial.joint_grams import joint_grams
from merge.partial.pairs import match_pairs


def pair_of(make: Any, seeds: tuple[int, int] = (1, 2)) -> Pair:
    return made(make, seeds[0]), made(make, seeds[1])


def inputs_of(pair: Pair, sample: RunningSample, *names: str) -> dict[str, Any]:
    """Return what modules read, [rows, inputs of both], by hooks."""
    seen: dict[tuple[str, int], Any] = {}
    for number, module in enumerate(pair):
        for name in names:
            layer = module.get_submodule(name)
            layer.register_forward_pre_hook(
                lambda _, given, key=(name, number): seen.__setitem__(key, given[0].flatten(0, -2))
            )
        with torch.no_grad():
            module(**sample.inputs)
    return {name: torch.cat([seen[name, 0], seen[name, 1]], 1).double().numpy() for name in names}


def test_grams_are_those_of_the_joint_inputs() -> None:
    pair, sample = pair_of(Perceptron), images(50, 6)
    found = joint_grams(matching_of(pair, sample, perceptron_groups()))
    for name, rows in inputs_of(pair, sample, "second", "third").items():
        expected = rows.T @ rows / len(rows)
        assert found.grams.means[f"{name}.weight"].numpy() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert found.reads == {"first.weight": 1, "second.weight": 1, "third.weight": 1}
    assert set(found.grams.means) == {"second.weight", "third.weight"}
    assert found.left_out == {"first.weight": "reads the same in both models, so that their average is exact"}


def test_attention_shares_one_gram_and_padding_is_left_out() -> None:
    pair, sample = pair_of(Attention), texts(20, 6)
    counted = torch.arange(6) < torch.tensor([[3], [6]] * 10)
    masked = RunningSample(sample.inputs, counted)
    found = joint_grams(matching_of(pair, masked, attention_groups()))
    assert {name: found.grams.aliases[name] for name in ("k.weight", "v.weight")} == dict.fromkeys(
        ("k.weight", "v.weight"), "q.weight"
    )
    rows = inputs_of(pair, sample, "q")["q"][counted.reshape(-1).numpy()]
    assert found.grams.means["q.weight"].numpy() == pytest.approx(rows.T @ rows / len(rows), rel=1e-5, abs=1e-5)
    assert found.grams.rows["q.weight"] == int(counted.sum())
    assert found.left_out["embed.weight"] == "embedding, or tied to one"


def test_filters_are_read_by_their_patches() -> None:
    pair, sample = pair_of(Filters), images(9, 3, 4, 4)
    found = joint_grams(matching_of(pair, sample, filters_groups(), convolutions=True))
    outputs: list[Any] = []
    for module in pair:
        module.third.register_forward_pre_hook(lambda _, given: outputs.append(given[0]))
        with torch.no_grad():
            module(**sample.inputs)
    patches = [torch.nn.functional.unfold(one, 3, padding=1, stride=2).transpose(1, 2).flatten(0, 1) for one in outputs]
    rows = torch.cat(patches, 1).double().numpy()
    assert found.grams.means["third.weight"].numpy() == pytest.approx(rows.T @ rows / len(rows), rel=1e-5, abs=1e-4)
    assert "second.weight" not in found.reads  # by channel: all its axes are written
    assert found.left_out["second.weight"] == "convolution in groups or in three dimensions"


def test_filters_that_are_not_asked_for() -> None:
    found = joint_grams(matching_of(pair_of(Filters), images(9, 3, 4, 4), filters_groups(), convolutions=False))
    assert set(found.grams.means) == {"head.weight"}
    assert found.reads["third.weight"] == 1
    assert found.left_out["third.weight"] == "convolution; --convolutions includes it"


def test_both_names_of_one_matrix_have_its_gram() -> None:
    pair, sample = pair_of(Tied), images(20, 6)
    found = computed(pair, sample)
    assert found.facts.aliases == {"other.weight": "one.weight"}
    assert found.facts.about["reads"]["other.weight"] == 1
    rows = found.facts.rows["one.weight"]
    assert rows == 2 * 20


def test_what_is_changed_in_place_counts_as_it_was_read() -> None:
    found = joint_grams(matching_of(pair_of(Overwriting), images(20, 6), groups_of())).grams
    torch.testing.assert_close(found.means["third.weight"], 4 * found.means["second.weight"])


def test_experts_that_see_other_rows_have_none() -> None:
    found = joint_grams(matching_of(pair_of(Routed), images(40, 6), groups_of()))
    reasons = {name for name, reason in found.left_out.items() if "router" in reason}
    assert reasons == {"experts.0.weight", "experts.1.weight"}
    assert "experts.0.weight" in found.reads


def test_a_model_and_itself_need_no_least_squares() -> None:
    model = made(Perceptron, 1)
    found = joint_grams(matching_of((model, made(Perceptron, 1)), images(20, 6), perceptron_groups()))
    assert not found.grams.means
    assert set(found.reads) == {"first.weight", "second.weight", "third.weight"}


def test_batches_change_nothing_but_rounding() -> None:
    pair = pair_of(Perceptron)
    whole, half = images(32, 6), images(32, 6)
    one = joint_grams(matching_of(pair, whole, perceptron_groups())).grams.means["third.weight"]
    matching = matching_of(pair, half, perceptron_groups())
    other = joint_grams(replace(matching, settings=replace(matching.settings, batch_size=3)))
    torch.testing.assert_close(one, other.grams.means["third.weight"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("way", ["weights", "activations"])
def test_units_in_another_order_are_found_and_fully_alike(way: str) -> None:
    model, groups = made(Perceptron, 3), perceptron_groups()
    orders = random_orders(groups, 1)
    other = with_state(Perceptron, moved(state_of(model), groups, orders))
    found = match_pairs(matching_of((model, other), images(60, 6), groups, matching=way))
    for name in "ab":
        assert (orders[name][found.orders[name]] == np.arange(len(orders[name]))).all()
        assert found.similarity[name] == pytest.approx(np.ones(len(orders[name])), abs=1e-6)


def test_similarity_is_the_correlation_of_what_is_read() -> None:
    pair, sample = pair_of(Perceptron), images(50, 6)
    found = match_pairs(matching_of(pair, sample, perceptron_groups()))
    rows = inputs_of(pair, sample, "third")["third"]
    correlation = np.corrcoef(rows.T)[:10, 10:]
    expected = correlation[np.arange(10), found.orders["b"]]
    assert np.nan_to_num(found.similarity["b"]) == pytest.approx(np.nan_to_num(expected), abs=1e-5)


def test_two_dead_units_are_alike_and_a_dead_one_is_like_none() -> None:
    pair = pair_of(Perceptron)
    with torch.no_grad():
        for module, dead in zip(pair, ([0, 1], [5]), strict=True):
            module.second.weight[dead], module.second.bias[dead] = 0, -1
    found = match_pairs(matching_of(pair, images(50, 6), perceptron_groups()))
    similarity, order = found.similarity["b"], found.orders["b"]
    both = [unit for unit in (0, 1) if order[unit] == 5]
    assert all(similarity[unit] == (1.0 if unit in both else 0.0) for unit in (0, 1))
    assert set(np.flatnonzero(similarity == 0)) | set(both) >= {0, 1}


def test_other_numbers_of_classes() -> None:
    pair = made(lambda: Classifier(3), 1), made(lambda: Classifier(5), 2)
    for way in ("weights", "activations"):
        found = computed(pair, images(40, 6), matching=way)
        assert set(found.facts.about["widens"]) == {"mlp.0", "mlp.1"}
        assert found.tensors["gram.head.weight"].shape == (20, 20)
        assert found.facts.about["outputs"] == {"head.weight": 0, "head.bias": 0}


def test_models_of_other_widths_are_refused() -> None:
    pair = made(lambda: Classifier(3), 1), made(lambda: Classifier(3, hidden=13), 2)
    with pytest.raises(MergeError, match=r"b: 'first.weight' is \[13, 6\], and \[12, 6\] in the first model"):
        computed(pair, images(10, 6))


def test_networks_that_give_no_numbers_are_refused() -> None:
    pair = pair_of(Perceptron)
    with torch.no_grad():
        pair[1].first.bias[0] = float("nan")
    with pytest.raises(MergeError, match=r"not finite|NaN"):
        joint_of(pair, images(10, 6))


def test_everything_is_the_same_when_computed_again() -> None:
    pair, sample = pair_of(Filters), images(20, 3, 4, 4)
    one, other = (computed(pair, sample, groups=filters_groups()) for _ in range(2))
    assert one.facts == other.facts
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_joint_rows_count_as_the_tensor_that_they_are_made_of() -> None:
    """A decoder that looks at an encoder's states works on its own tokens meanwhile."""
    counted = {"encoder": torch.tensor([[True, False]]), "decoder": torch.tensor([[True, True]])}
    masks, states = Masks(counted), torch.ones(1, 2, 3)
    masks.mark(states, "encoder")
    masks.stream = "decoder"
    joint, other = torch.cat([states, states], -1), torch.zeros(1, 2, 6)
    masks.mark_alike(joint, states)
    masks.mark_alike(other, torch.zeros(1, 2, 3))
    assert masks.rows(joint).tolist() == [[True, False]]
    assert masks.rows(other).tolist() == [[True, True]]
