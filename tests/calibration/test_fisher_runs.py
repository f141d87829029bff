"""A run over the data: resumed, cut into other batches, drawn anew, converging, and what its file says."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
import torch
from fisher_case import Case, fisher, plain_loop
from safetensors import safe_open

from merge.calibration.fisher import run, totals, way
from merge.calibration.fisher.draws import pick, uniform_numbers
from merge.errors import MergeError


def make_case(items=40, classes=3, dtype=torch.float64, **more):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, classes)]
    return Case(torch.nn.Sequential(*layers).to(dtype), {"x": torch.randn(items, 4, dtype=dtype)}, **more)


class Stopping:
    """A sample whose user loses patience after some items."""

    def __init__(self, sample, after=21):
        self.about, self._sample, self._after = sample.about, sample, after

    def __len__(self):
        return len(self._sample)

    def batches(self, size, first=0):
        for batch in self._sample.batches(size, first):
            if first >= self._after:
                raise KeyboardInterrupt
            first += len(batch)
            yield batch


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("options", [{"labels": "sampled"}, {"gradients": "summed"}, {"labels": "exact"}])
def test_a_resumed_run_ends_in_the_same_bytes(options, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "EVERY", 8)
    whole, out = tmp_path / "whole.st", tmp_path / "out.st"
    fisher(make_case(), whole, **options)
    with pytest.raises(KeyboardInterrupt):
        fisher(make_case(sample_type=Stopping), out, seconds=0, **options)
    assert not out.exists()
    seen = []
    case = make_case(sample_type=lambda sample: Watching(sample, seen))
    fisher(case, out, seconds=0, resume=True, **options)
    assert out.read_bytes() == whole.read_bytes()
    assert min(first for size, first in seen if first) >= 20


class Watching(Stopping):
    """A sample that notes from where it was read."""

    def __init__(self, sample, seen):
        super().__init__(sample, after=len(sample))
        self._seen = seen

    def batches(self, size, first=0):
        self._seen.append((size, first))
        return super().batches(size, first)


@pytest.mark.parametrize("change", [{"seed": 1}, {"samples": 39}, {"labels": "exact"}, {"gradients": "summed"}])
def test_sums_of_another_request_are_not_continued(change, tmp_path):
    out = tmp_path / "out.st"
    about = {"name": "case", "number": 40}
    with pytest.raises(KeyboardInterrupt):
        fisher(make_case(sample_type=Stopping, about=about), out, seconds=0, labels="sampled", samples=40)
    case = make_case(about={"name": "case", "number": change.get("samples", 40)})
    settings = {"labels": "sampled", "samples": 40} | change
    found, _ = fisher(case, out, resume=True, **settings)
    expected, _ = fisher(case, tmp_path / "fresh.st", **settings)
    assert_same(found, expected)


def test_summed_gradients_of_other_batches_are_another_request(tmp_path):
    out, options = tmp_path / "out.st", {"gradients": "summed"}
    with pytest.raises(KeyboardInterrupt):
        fisher(make_case(sample_type=Stopping), out, seconds=0, **options)
    found, _ = fisher(make_case(), out, resume=True, batch_size=5, **options)
    assert_same(found, fisher(make_case(), tmp_path / "fresh.st", batch_size=5, **options)[0])


@pytest.mark.parametrize("labels", ["exact", "sampled", "empirical"])
def test_the_size_of_batches_changes_nothing(labels, tmp_path):
    case = make_case(labels=torch.arange(40) % 3)
    expected, _ = fisher(case, tmp_path / "out.st", batch_size=1, labels=labels)
    for size in (2, 7, 64):
        found, _ = fisher(case, tmp_path / "out.st", batch_size=size, labels=labels)
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-12, atol=1e-15)


def test_sampled_labels_go_by_the_seed(tmp_path):
    found = [fisher(make_case(), tmp_path / "out.st", labels="sampled", seed=seed)[0] for seed in (0, 1, 0)]
    assert_same(found[0], found[2])
    assert not torch.equal(found[0]["0.weight"], found[1]["0.weight"])


def test_the_global_generator_is_not_touched(tmp_path):
    case = make_case()
    before = torch.get_rng_state()
    fisher(case, tmp_path / "out.st", labels="sampled")
    assert torch.equal(torch.get_rng_state(), before)


def repeated(times):
    case = make_case(items=4)
    return Case(case.module, {"x": case.inputs["x"].repeat(times, 1)})


@pytest.mark.parametrize(("options", "off"), [({"labels": "sampled"}, 0.1), ({"gradients": "summed"}, 0.2)])
def test_sampled_labels_and_summed_gradients_come_near_the_expectation(options, off, tmp_path):
    expected = plain_loop(repeated(1), "exact")
    found, _ = fisher(repeated(500), tmp_path / "out.st", samples=2000, **options)
    for name, tensor in expected.items():
        assert ((found[name] - tensor).norm() / tensor.norm()).item() < off


def test_a_sum_is_noisier_than_single_gradients_and_no_more_wrong(tmp_path):
    expected = plain_loop(repeated(1), "exact")["0.weight"]

    def errors(**options):
        found = [fisher(repeated(2), tmp_path / "o.st", batch_size=8, seed=seed, **options)[0] for seed in range(150)]
        stacked = torch.stack([one["0.weight"] for one in found])
        return (stacked - expected).square().mean().sqrt(), (stacked.mean(0) - expected).norm() / expected.norm()

    single, summed = errors(labels="sampled"), errors(gradients="summed")
    assert summed[0] > 1.3 * single[0]
    assert summed[1] < 0.15


def test_convergence_is_told_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "EVERY", 8)
    notes = []
    case = make_case()
    _, facts = fisher(case, tmp_path / "out.st", notes=notes, labels="exact")
    means = []
    for count in (8, 16, 24, 32, 40):
        part = Case(case.module, {"x": case.inputs["x"][:count]})
        means.append(torch.cat([tensor.flatten() for tensor in plain_loop(part, "exact").values()]))
    expected = [((b - a).norm() / b.norm()).item() for a, b in pairwise(means)]
    recorded = facts.about["convergence"]
    assert [one["samples"] for one in recorded] == [16, 24, 32, 40]
    assert [one["change"] for one in recorded] == pytest.approx(expected, rel=1e-5)
    assert notes[0] == f"after 16 of 40 items the Fisher information changed by {expected[0]:.1%}"
    assert totals.EVERY == 512


def test_what_the_file_says_of_itself(tmp_path):
    _, facts = fisher(make_case(), tmp_path / "out.st", seed=5, labels="sampled")
    with safe_open(tmp_path / "out.st", "pt") as file:
        metadata = file.metadata()
    assert (metadata["kind"], metadata["model"], metadata["merge.data_use"]) == (
        "fisher",
        "id-of-the-model",
        "unlabeled",
    )
    about = json.loads(metadata["about"])
    assert about == facts.about
    expected = {"samples": 40, "labels": "sampled", "gradients": "per-example", "normalized_per": "example", "seed": 5}
    assert expected.items() <= about.items()
    assert (about["classes"], about["sums"], about["data"]) == (3, "float64", {"name": "case"})


def test_progress_counts_every_item_once(tmp_path):
    from merge.calibration.declared import FisherCalibration
    from merge.calibration.fisher import compute_fisher
    from merge.calibration.storing import Store
    from merge.evaluation.candidate import Candidate
    from merge.evaluation.task import Settings

    counted = []
    with Store(tmp_path / "out.st") as store:
        settings = Settings(batch_size=16, advance=counted.append)
        compute_fisher(Candidate("m", {}, None, "i"), make_case(), FisherCalibration(), settings, store)
    assert sum(counted) == 40


def test_numbers_below_what_float32_squares_hold_are_summed(tmp_path):
    case = Case(torch.nn.Linear(2, 3), {"x": torch.full((4, 2), 1e-21)})
    found, _ = fisher(case, tmp_path / "out.st", labels="exact")
    p = torch.softmax(case.module.bias.detach().double(), 0)
    torch.testing.assert_close(found["weight"][:, 0], p * (1 - p) * 1e-42, rtol=1e-4, atol=0)


def test_where_memory_runs_out_fewer_go_together(tmp_path, monkeypatch):
    sizes = []
    whole = way.squares_together

    def limited(job, items, first):
        sizes.append(len(items))
        if len(items) > 4:
            raise MergeError("does not run") from torch.OutOfMemoryError("out of memory")
        return whole(job, items, first)

    monkeypatch.setattr(way, "squares_together", limited)
    found, facts = fisher(make_case(), tmp_path / "out.st", batch_size=16, labels="exact")
    assert sizes == [2, 16, 8, 4, 4, 4, 4]
    assert (facts.about["items_at_a_time"], facts.about["by"]) == (4, "torch.func")
    for name, tensor in plain_loop(make_case(), "exact").items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-10, atol=1e-15)


def test_how_many_fit_into_memory(monkeypatch):
    monkeypatch.setattr(way, "free_bytes", lambda device: 300)
    assert [way._fitting(nbytes, "cpu", 64) for nbytes in (1, 10, 12, 50, 51, 1000)] == [64, 8, 8, 2, 1, 1]
    assert [way._fitting(1, "cpu", limit) for limit in (1, 3, 100)] == [1, 2, 64]


def test_labels_are_drawn_by_their_probabilities():
    numbers = uniform_numbers(torch.ones(20000, 1, dtype=torch.bool), 0, 0)[:, 0]
    shares = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    found = pick(shares.expand(20000, 4), numbers).bincount(minlength=4) / 20000
    torch.testing.assert_close(found.double(), shares, rtol=0, atol=0.012)
    assert found[1] == 0


def test_random_numbers_go_by_item_and_counted_position():
    counted = torch.tensor([[True, True, False], [False, True, True]])
    numbers = uniform_numbers(counted, 7, 3)
    later = uniform_numbers(torch.ones(1, 2, dtype=torch.bool), 7, 4)
    assert numbers[1, 1:].tolist() == later[0].tolist()
    assert numbers[0, 2] == numbers[1, 0] == 0
    assert len({*numbers.flatten().tolist()}) == 5
