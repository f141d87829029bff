"""Weight matching: planted orders are found, the objective rises, and nothing depends on threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import distance, groups_of, member, mlp, moved, noisy, random_state, residual, shuffled
from safetensors.torch import save_file

from merge.alignment.declared import AlignmentOptions
from merge.alignment.groups import Group
from merge.alignment.matching import CheckpointReader, StateReader, match_weights, products
from merge.alignment.matching.assignment import assign
from merge.alignment.permutations import is_valid
from merge.checkpoints.resolve import open_checkpoint
from merge.errors import MergeError, UsageError


def match(one, other, groups, seed=0, *, note=None, progress=None, **options):
    readers = StateReader("one", one), StateReader("other", other)
    return match_weights(*readers, groups, AlignmentOptions(**options), seed, note=note, progress=progress)


@pytest.mark.parametrize("init", ["identity", "anchored"])
@pytest.mark.parametrize("name", ["mlp.0", "mlp.1", "mlp.2"])
def test_one_group_in_another_order_is_found(name, init):
    one, groups = mlp()
    other = shuffled(one, groups, 3, name)
    found = match(one, other, groups, init=init)
    assert distance(one, other) > 1
    assert found.report.distance_after == 0
    assert distance(one, moved(other, groups, found.orders)) == 0


@pytest.mark.parametrize("seed", range(5))
def test_all_groups_in_another_order_are_found(seed):
    one, groups = mlp(seed)
    other = shuffled(one, groups, seed)
    found = match(one, other, groups, seed)
    assert found.report.distance_after == 0 < found.report.distance_before
    assert found.report.distance_before == pytest.approx(distance(one, other))
    assert all(group.cosine == pytest.approx(1) for group in found.report.groups.values())


@pytest.mark.parametrize("init", ["identity", "anchored"])
def test_the_objective_never_falls_and_is_what_the_weights_say(init):
    one, groups = residual(1)
    other, _ = residual(2)
    steps = []
    found = match(one, other, groups, init=init, progress=steps.append)
    objectives = [step.objective for step in steps if step.stage == "sweep"]
    aligned = moved(other, groups, found.orders)
    assert objectives == sorted(objectives)
    assert objectives[-1] == pytest.approx(found.report.objective_after)
    assert found.report.objective_after == pytest.approx(
        sum(float((one[name].astype("f8") * aligned[name]).sum()) for name in one)
    )
    assert found.report.objective_after > found.report.objective_before
    assert found.report.distance_after == pytest.approx(distance(one, aligned))
    assert all(is_valid(found.orders[name], group, groups) for name, group in groups.groups.items())


def test_the_last_sweep_changes_nothing_and_groups_are_solved_only_where_something_changed():
    one, groups = residual(1)
    other, _ = residual(2)
    steps = []
    found = match(one, other, groups, init="identity", progress=steps.append)
    assert [step.changed for step in steps if step.sweep == found.report.sweeps] == [0, 0]
    assert all(step.changed for step in steps if 0 < step.sweep < found.report.sweeps and step.done == 2)


def test_the_limit_of_sweeps_holds_and_is_told():
    one, groups = residual(1)
    notes = []
    found = match(one, residual(2)[0], groups, init="identity", sweeps=1, note=notes.append)
    assert (found.report.sweeps, found.report.converged) == (1, False)
    assert "--sweeps" in notes[0]
    assert found.report.notes == tuple(notes)


def test_more_restarts_are_never_worse():
    one, groups = residual(1)
    other, _ = residual(2)
    several = [match(one, other, groups, init="identity", restarts=count).report for count in (1, 4)]
    assert several[1].objective_after >= several[0].objective_after
    singles = {match(one, other, groups, seed, init="identity").report.objective_after for seed in range(4)}
    assert len(singles) > 1


def test_nothing_depends_on_threads(monkeypatch):
    one, groups = residual(1, width=96, hidden=700)
    other, _ = residual(2, width=96, hidden=700)
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(products, "_processors", lambda threads=threads: threads)
        found.append(match(one, other, groups, 5))
    assert all((found[0].orders[name] == found[1].orders[name]).all() for name in groups.groups)
    assert found[0].report.objective_after == found[1].report.objective_after


def test_the_seed_alone_decides_the_order_of_groups():
    one, groups = mlp(1)
    other, _ = mlp(7)
    turns = []
    for seed in (3, 3, 4):
        steps = []
        match(one, other, groups, seed, init="identity", progress=steps.append)
        turns.append([step.group for step in steps if step.stage == "sweep"])
    assert turns[0] == turns[1] != turns[2]


def test_products_are_those_of_float64():
    one, other = (random_state(seed, a=(1100, 5000))["a"] for seed in (0, 1))
    total = np.ones((1100, 1100))
    products.add_products(total, one, other)
    np.testing.assert_allclose(total, 1 + one.astype("f8") @ other.astype("f8").T, rtol=1e-12, atol=1e-9)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_products_on_a_gpu_are_those_of_the_cpu(monkeypatch):
    one, other = (random_state(seed, a=(300, 9000))["a"] for seed in (0, 1))
    totals = [np.zeros((300, 300)) for _ in range(2)]
    products.add_products(totals[0], one, other)
    monkeypatch.setattr(products, "LARGE", 0)
    products.add_products(totals[1], one, other)
    np.testing.assert_allclose(*totals, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_checkpoints_are_read_from_files_in_any_type(tmp_path, dtype):
    one, groups = mlp()
    other = shuffled(one, groups, 1)
    for name, state in (("one", one), ("other", other)):
        tensors = {key: torch.from_numpy(np.ascontiguousarray(array)).to(dtype) for key, array in state.items()}
        save_file(tensors | {"steps": torch.tensor(3)}, tmp_path / f"{name}.safetensors")
    sources = [open_checkpoint(str(tmp_path / f"{name}.safetensors")) for name in ("one", "other")]
    found = match_weights(*(CheckpointReader(source, 400) for source in sources), groups, AlignmentOptions(), 0)
    assert found.report.distance_after == 0 < found.report.distance_before


def test_the_cache_holds_no_more_than_it_may():
    state = random_state(0, **{str(number): (16,) for number in range(100)}, large=(64,))
    reader = StateReader("one", state)
    assert not reader._kept
    reader._room = 1024
    for name in [*state, "5", "99"]:
        np.testing.assert_array_equal(reader.read(name), state[name])
    assert sum(array.nbytes for array in reader._kept.values()) <= 1024
    assert list(reader._kept)[-1] == "99"
    assert "large" not in reader._kept


def test_pieces_of_an_axis_are_found_where_they_lie():
    """Two branches that are joined, then flattened with four positions each, as in a DenseNet with a linear head."""
    one = random_state(0, a=(6, 3), b=(5, 3), b_bias=(5,), joined=(2, 44))
    groups = groups_of(
        Group("a", 6, (member("a", 0, 6), member("joined", 1, 6, 4))),
        Group("b", 5, (member("b", 0, 5), member("b_bias", 0, 5), member("joined", 1, 5, 4, offset=24))),
    )
    for seed in range(3):
        other = shuffled(one, groups, seed)
        assert match(one, other, groups, init="identity").report.distance_after == 0


def test_statistics_of_batchnorm_follow_without_a_say():
    one, groups = mlp()
    one["running"] = np.arange(12, dtype="float32") * 1000
    hidden = groups.groups["mlp.0"]
    follower = member("running", 0, 12)
    with_statistics = Group("mlp.0", 12, (*hidden.members, follower), "mlp", None, frozenset({follower}))
    groups = groups_of(with_statistics, groups.groups["mlp.1"], groups.groups["mlp.2"])
    other = shuffled(one, groups, 2)
    other["running"] = np.arange(12, dtype="float32") * 1000
    found = match(one, other, groups)
    assert found.report.objective_after == pytest.approx(match(one, one, groups).report.objective_after)
    assert match(one, other, groups, init="identity").orders["mlp.0"].tolist() == found.orders["mlp.0"].tolist()


def test_a_tied_tensor_counts_once():
    one, groups = mlp()
    twice = one | {"again": one["1.weight"].copy()}
    hidden = groups.groups["mlp.0"]
    members = (*hidden.members, member("again", 1, 12))
    outer = Group("mlp.1", 10, (*groups.groups["mlp.1"].members, member("again", 0, 10)), "mlp")
    tied = groups_of(Group("mlp.0", 12, members, "mlp"), outer, groups.groups["mlp.2"])
    other = shuffled(twice, tied, 4)
    found, plain = match(twice, other, tied).report, match(one, shuffled(one, groups, 4), groups).report
    assert found.objective_after == pytest.approx(plain.objective_after)
    assert found.distance_before == pytest.approx(plain.distance_before)
    assert found.distance_after == 0


def test_a_group_on_both_axes_of_a_tensor_rises_by_its_true_objective():
    """A square map from a stream to itself: the problem is quadratic."""
    groups = groups_of(Group("stream", 9, (member("in", 0, 9), member("map", 0, 9), member("map", 1, 9))))
    one = random_state(0, "float64", **{"in": (9, 4), "map": (9, 9)})
    assert match(one, shuffled(one, groups, 1), groups).report.distance_after == 0
    for seed in range(10):
        other = random_state(seed + 1, "float64", **{"in": (9, 4), "map": (9, 9)})
        steps = []
        found = match(one, other, groups, seed, init="identity", progress=steps.append)
        aligned = moved(other, groups, found.orders)
        objective = sum((one[name] * aligned[name]).sum() for name in one)
        assert found.report.objective_after == pytest.approx(objective)
        assert steps[-1].objective == pytest.approx(objective)
        assert objective >= found.report.objective_before


def test_groups_that_nothing_known_is_tied_to_start_by_sorted_numbers():
    """No input, output or bias: both axes of both tensors move."""
    one = random_state(0, forth=(14, 11), back=(11, 14))
    groups = groups_of(
        Group("a", 14, (member("forth", 0, 14), member("back", 1, 14))),
        Group("b", 11, (member("forth", 1, 11), member("back", 0, 11))),
    )
    reached = [match(one, shuffled(one, groups, seed), groups, seed).report.distance_after for seed in range(5)]
    assert reached == [0] * 5


def test_models_of_one_ancestor_are_recognised():
    one, groups = residual(0)
    notes = []
    found = match(one, noisy(one, 0.1, 1), groups, note=notes.append)
    assert found.report.same_basin == 1
    assert len(notes) == 1
    assert "share an ancestor" in notes[0]
    assert "merge soup" in notes[0]
    assert found.report.sweeps == 1


def test_other_models_are_not_said_to_share_an_ancestor():
    one, groups = residual(0)
    notes = []
    found = match(one, residual(1)[0], groups, note=notes.append)
    assert found.report.same_basin < 0.5
    assert notes == []


def test_only_the_kinds_that_are_named_move():
    one, groups = residual(0)
    other = shuffled(one, groups, 0)
    found = match(one, other, groups, only="mlp")
    assert list(found.orders) == list(found.report.groups) == ["mlp"]
    assert match(one, shuffled(one, groups, 0, "mlp"), groups, only="mlp").report.distance_after == 0
    assert found.report.distance_after > 0


def test_an_unknown_kind_is_refused():
    one, groups = mlp()
    with pytest.raises(UsageError, match=r"no kind of groups 'heds'.*did you mean 'heads'"):
        match(one, one, groups, only="mlp, heds")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_with_the_tensors_name(value):
    one, groups = mlp()
    broken = {name: array.copy() for name, array in one.items()}
    broken["1.weight"][2, 3] = value
    with pytest.raises(MergeError, match=r"other: '1\.weight' holds NaN or infinities"):
        match(one, broken, groups)


def test_numbers_whose_products_overflow_are_refused():
    one, groups = mlp()
    huge = {name: array.astype("float64") * 1e200 for name, array in one.items()}
    with pytest.raises(MergeError, match="not finite"), np.errstate(all="ignore"):
        match(huge, huge, groups)


def test_models_of_other_width_are_refused():
    one, groups = mlp()
    wide = one | {"1.weight": np.zeros((10, 13), "float32")}
    with pytest.raises(MergeError, match=r"'1\.weight' is \[10, 13\], and \[10, 12\] in 'one'.*cannot be aligned"):
        match(one, wide, groups)
    with pytest.raises(MergeError, match=r"other: has no floating tensor '2\.bias' of group 'mlp\.2'"):
        match(one, {name: array for name, array in one.items() if name != "2.bias"}, groups)


def test_an_unsound_group_stays_with_a_note():
    one = random_state(0, a=(36, 3), b=(2, 36))
    square = groups_of(Group("twice", 6, (member("a", 0, 6, 6), member("a", 0, 6, 6, factor=1), member("b", 1, 6, 6))))
    notes = []
    found = match(one, one, square, note=notes.append)
    assert found.orders == {}
    assert notes == ["'twice' stays as it is: one piece of an axis carries it twice"]


def test_an_order_stays_where_another_is_no_better():
    current = np.array([2, 0, 1])
    assert assign(np.ones((3, 3)), current) is current
    assert assign(np.ones((3, 3)) + 1e-12 * np.eye(3), current) is current
    assert assign(np.ones((3, 3)) + np.eye(3), current).tolist() == [0, 1, 2]


def test_the_look_at_the_basin_ends_as_soon_as_the_answer_is_known():
    one, groups = residual(0)
    steps = []
    match(one, residual(1)[0], groups, progress=steps.append)
    assert [step.group for step in steps if step.stage == "comparing"] == ["mlp"]
    steps.clear()
    match(one, noisy(one, 0.1, 1), groups, progress=steps.append)
    assert [step.group for step in steps if step.stage == "comparing"] == ["mlp", "residual"]
