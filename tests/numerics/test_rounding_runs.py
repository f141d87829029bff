"""Stochastic rounding in whole merges: the same bytes however they are run, and the right ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import assert_same, load, save
from in_memory import recipe_of
from rounding_models import models, outcome, recipe, with_output
from scaled_models import random_scaled, save_model

import merge
from merge import engine
from merge.checkpoints.writer import MemorySink
from merge.engine import RunSettings, run
from merge.plan import make_plan
from merge.provenance import fingerprint
from merge.recipe import Recipe
from merge.streaming.journal import Journal
from merge.streaming.stochastic import Draws, drawn
from merge.streaming.torch_backend import TorchBackend


@pytest.fixture(params=["task-arithmetic", "ties", "soup"])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Recipe:
    return recipe(models(tmp_path), request.param)


def test_threads_chunks_and_kernels_do_not_show(asked: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = outcome(asked)
    for threads, chunk in ((4, 65_536), (3, 262_144)):
        assert_same(outcome(asked, threads=threads, chunk_elements=chunk), wanted)
    monkeypatch.setenv("MERGE_NO_KERNELS", "1")
    assert_same(outcome(asked), wanted)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F8_E4M3", "F8_E5M2"])
def test_torch_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    asked = recipe(models(tmp_path, torch.float32), dtype=dtype)
    wanted = outcome(asked)
    backend = lambda plan, settings, threads: (lambda: TorchBackend("cpu"), 2**20)  # noqa: E731
    monkeypatch.setattr(engine, "choose_backend", backend)
    assert_same(outcome(asked), wanted)


def test_every_number_is_drawn_from_the_exact_outcome(tmp_path: Path) -> None:
    """Against the definition, from float64 sums: name, position and seed decide; joined neighbours do not show."""
    paths = models(tmp_path, torch.float32)
    found = outcome(recipe(paths, "soup", "BF16", seed=5))
    a, b = (load(Path(path)) for path in paths[1:3])
    for name, tensor in found.items():
        exact = (0.5 * a[name].double() + 0.5 * b[name].double()).numpy()
        wanted = drawn(exact, "BF16", Draws(5, name).at(0, len(exact)))
        assert (tensor.view(torch.uint16).numpy() == wanted.view(np.uint16)).all(), name
    other = outcome(recipe(paths, "soup", "BF16", seed=6))
    assert not torch.equal(other["a"], found["a"])


def test_updates_far_below_a_step_keep_their_mean(tmp_path: Path) -> None:
    """Rounding to nearest loses every one of them."""
    count, update = 500_000, 2.0**-12  # a step of bfloat16 around 1 is 2^-7
    base, tuned = torch.ones(count), torch.full((count,), 1 + update)
    states = [{"w": tensor} for tensor in (base, tuned)]
    near = merge.merge_state_dicts(states[1:], method="task-arithmetic", base=states[0], dtype="bfloat16", scale=1.0)
    assert (near["w"] == 1).all()
    drawn_ = merge.merge_state_dicts(
        states[1:], method="task-arithmetic", base=states[0], dtype="bfloat16", scale=1.0, rounding="stochastic"
    )
    assert set(drawn_["w"].unique().tolist()) == {1.0, 1 + 2.0**-7}
    share = update / 2.0**-7
    deviation = 2.0**-7 * (share * (1 - share) / count) ** 0.5
    assert abs(drawn_["w"].double().mean().item() - (1 + update)) < 5 * deviation


def test_a_run_is_continued_to_the_same_bytes_and_counts(tmp_path: Path) -> None:
    paths = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        state = {name: torch.randn(3000, 1000, generator=generator).bfloat16() for name in "abc"}
        paths.append(str(save(tmp_path / f"{seed}.st", state)))
    plan = make_plan(recipe(paths))
    settings = RunSettings(threads=1, count_lost_updates=True)
    journal = Journal(tmp_path / "journal", "one")
    journal.start()
    first = run(plan, MemorySink(plan.files), settings, journal)
    journal.close()
    assert first.tallies["a"].changed > 2_000_000
    lines = (tmp_path / "journal").read_text().splitlines(keepends=True)
    for kept in _after_pieces(lines):
        (tmp_path / "journal").write_text("".join(lines[:kept]))
        again = Journal(tmp_path / "journal", "one")
        assert again.take_over() is None
        found = run(plan, MemorySink(plan.files), settings, again)
        assert found.pieces_reused > 0
        assert (found.output_id, found.rounded) == (first.output_id, first.rounded)
        assert found.tallies["a"].lost == first.tallies["a"].lost
    plan.close()


def _after_pieces(lines: list[str]) -> Iterator[int]:
    """Yield after how many lines a piece is finished, and one line later."""
    for number, line in enumerate(lines[1:-2], start=2):
        if line.startswith('["piece"'):
            yield from (number, number + 1)


@pytest.mark.parametrize("change", [("rounding", "nearest"), ("seed", "2"), ("overflow", "saturate")])
def test_another_rounding_is_another_merge(tmp_path: Path, change: tuple[str, str]) -> None:
    paths = models(tmp_path)
    key, value = change
    asked = recipe(paths)
    other = recipe(paths, seed=2) if key == "seed" else with_output(asked, **{key: value})
    ids = []
    for one in (asked, other):
        plan = make_plan(one)
        ids.append(fingerprint(plan, allow_nonfinite=False))
        plan.close()
    assert ids[0] != ids[1]


def test_8_bit_floats_with_scales(tmp_path: Path) -> None:
    """Both neighbours of the exact quotient, the scales of rounding to nearest, any chunk and number of threads."""
    paths = [str(save_model(tmp_path / str(seed), random_scaled(seed))) for seed in range(2)]
    near = recipe_of("soup", paths)
    asked = with_output(near, rounding="stochastic")
    wanted, found = outcome(near), outcome(asked)
    moved = 0
    for name, tensor in wanted.items():
        if tensor.dtype == torch.float32:
            assert torch.equal(found[name], tensor)
        elif tensor.dtype == torch.float8_e4m3fn:
            steps = (tensor.view(torch.int8).int() & 127) - (found[name].view(torch.int8).int() & 127)
            assert steps.abs().max() <= 1
            moved += int(steps.abs().sum())
    assert moved > 10_000
    assert_same(outcome(asked, threads=3, chunk_elements=65_536), found)
