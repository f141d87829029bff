"""Where rows come from, and their bytes: whatever range is asked for, from any thread, in any type."""

from __future__ import annotations

import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

from merge.checkpoints.memory import MemoryCheckpoint
from merge.dtypes import numpy_dtype
from merge.vocabulary import gathered, taking
from merge.vocabulary.gathered import Gathered
from merge.vocabulary.rows import ABSENT, AVERAGE, MEAN, ZERO, Choice, Layout, RowPlan, plan_rows
from merge.vocabulary.source import Rows, VocabularySource
from merge.vocabulary.taking import Origin

KINDS = ("F32", "BF16", "F16", "F64", "F8_E4M3")


def layout(numbers: list[list[int]], named: list[bool] | None = None, **more: Any) -> Layout:
    found = np.asarray(numbers, np.int64)
    settings = {"kept": 0, "donor": 0, "sizes": (4,) * len(numbers), "choices": {}} | more
    return Layout(found, np.asarray(named or [True] * found.shape[1]), **settings)


def plan_of(found: Layout, member: int, available: list[bool] | None = None) -> list[tuple[int, int]]:
    plan = plan_rows(found, member, available or [True] * len(found.numbers))
    return list(zip(plan.origin.tolist(), plan.row.tolist(), strict=True))


def test_own_rows_go_first_then_the_bases_then_the_only_owners_then_the_mean_then_zeros() -> None:
    found = layout([[0, 1, -1, -1, -1], [3, -1, 2, 0, -1], [1, 2, -1, 3, -1]])
    assert plan_of(found, 0) == [(0, 0), (0, 1), (1, 2), (AVERAGE, 0), (ZERO, 0)]
    assert plan_of(found, 1) == [(1, 3), (0, 1), (1, 2), (1, 0), (ZERO, 0)]
    assert plan_of(found, 2) == [(2, 1), (2, 2), (1, 2), (2, 3), (ZERO, 0)]
    assert plan_rows(found, 0, [True] * 3).owners.tolist() == [[ABSENT], [0], [3]]


def test_a_model_without_the_tensor_owns_no_row_of_it() -> None:
    found = layout([[0, -1], [1, 1], [2, 2]])
    assert plan_of(found, 0, [True, False, True]) == [(0, 0), (2, 2)]
    assert plan_of(found, 2, [False, False, True]) == [(2, 2), (2, 2)]


def test_a_rule_counts_for_models_without_the_token_and_with_force_for_all() -> None:
    choices = {0: Choice(1, 3, force=False), 1: Choice(ZERO, 0, force=True), 2: Choice(1, 0, force=True)}
    found = layout([[0, 1, 2], [-1, 1, 2]], choices=choices)
    assert plan_of(found, 0) == [(0, 0), (ZERO, 0), (1, 0)]
    assert plan_of(found, 1) == [(1, 3), (ZERO, 0), (1, 0)]


def test_padding_is_the_models_own_else_the_donors_else_the_mean() -> None:
    names = [True, True, False, False, False]
    found = layout([[0, 1, -1, -1, -1], [2, 0, -1, -1, -1]], names, kept=4, sizes=(4, 4))
    assert plan_of(found, 0)[2:] == [(0, 2), (0, 3), (MEAN, 0)]
    assert plan_of(found, 1)[2:] == [(0, 2), (1, 3), (MEAN, 0)]  # its row 2 is that of a token
    assert plan_of(found, 1, [False, True])[2:] == [(MEAN, 0), (1, 3), (MEAN, 0)]


def tables(code: str, width: int) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    return [generator.normal(size=(rows, width)).astype(numpy_dtype(code)) for rows in (7, 9, 5)]


def some_plan() -> RowPlan:
    found = layout(
        [[0, 1, 2, -1, -1, -1, -1, -1], [8, -1, 3, 4, 0, 5, -1, -1], [-1, -1, -1, 1, 2, 4, -1, -1]],
        [True] * 7 + [False],
        sizes=(7, 9, 5),
        choices={5: Choice(1, 6, force=True)},
    )
    return plan_rows(found, 0, [True] * 3)


def computed(arrays: list[np.ndarray], code: str) -> np.ndarray:
    """The rows of `some_plan` by hand in float64, rounded to the type by torch or in one step."""
    one, two, three = (array.astype(np.float64) for array in arrays)
    rows = [one[0], one[1], one[2], (two[4] + three[1]) / 2, (two[0] + three[2]) / 2, two[6], np.zeros_like(one[0])]
    rounded = np.stack([rounded_once(row, code) for row in rows])
    return np.concatenate([rounded, rounded_once(rounded.astype(np.float64).mean(axis=0), code)[None]])


def rounded_once(values: np.ndarray, code: str) -> np.ndarray:
    """The nearest value of the type; of a narrow one, found among all that there are."""
    dtype = numpy_dtype(code)
    if dtype.itemsize > 2:
        return values.astype(dtype)
    with np.errstate(invalid="ignore"):
        numbers = np.arange(256**dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype).astype(np.float64)
    finite = np.flatnonzero(np.isfinite(numbers))
    distances = np.abs(numbers[finite] - values[:, None])
    nearest = [finite[row == row.min()] for row in distances]
    even = [int(bits[bits % 2 == 0][0] if (bits % 2 == 0).any() else bits[0]) for bits in nearest]
    return numbers[even].astype(dtype)


def made(arrays: list[np.ndarray], code: str, plan: RowPlan | None = None) -> tuple[Gathered, int]:
    sources = [MemoryCheckpoint(f"m{number}", {"e": array}) for number, array in enumerate(arrays)]
    plan = plan or some_plan()
    width = arrays[0].shape[1]
    origins = [Origin(source, source.tensors["e"]) for source in sources]
    return Gathered(code, width, plan, origins), len(plan.row) * width * numpy_dtype(code).itemsize


def read(found: Any, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    found.read_into(offset, memoryview(buffer))
    return bytes(buffer)


@pytest.mark.parametrize("code", KINDS)
def test_rows_are_those_of_a_float64_computation(code: str) -> None:
    arrays = tables(code, 33)
    found, nbytes = made(arrays, code)
    rows = np.frombuffer(read(found, 0, nbytes), numpy_dtype(code)).reshape(8, 33)
    wanted = computed(arrays, code)
    if code == "F32":
        assert np.abs(rows - wanted).max() <= 1e-7
    else:
        assert np.array_equal(rows, wanted)


@pytest.mark.parametrize("block", [1, 100, 2**21])
def test_any_range_gives_the_same_bytes_for_any_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = tables("BF16", 9)
    found, nbytes = made(arrays, "BF16")
    whole = read(found, 0, nbytes)
    for module in (gathered, taking):
        monkeypatch.setattr(module, "BLOCK_BYTES", block)
    for offset in range(0, nbytes, 5):
        for length in (0, 1, 7, 40, nbytes - offset):
            if offset + length <= nbytes:
                assert read(made(arrays, "BF16")[0], offset, length) == whole[offset : offset + length]


def test_threads_read_the_same_bytes() -> None:
    arrays = tables("F32", 64)
    found, nbytes = made(arrays, "F32")
    whole, seen = read(made(arrays, "F32")[0], 0, nbytes), []
    threads = [threading.Thread(target=lambda: seen.append(read(found, 0, nbytes))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [whole] * 8


def test_rows_of_another_type_are_rounded_once() -> None:
    """1 + 2^-8 + 2^-40 lies above the middle of two bfloat16 values; through float32 it would fall on the middle."""
    value = 1 + 2.0**-8 + 2.0**-40
    one, two = np.zeros((1, 1), ml_dtypes.bfloat16), np.full((1, 1), value, np.float64)
    found = layout([[-1], [0]], sizes=(1, 1))
    rows, nbytes = made([one, two], "BF16", plan_rows(found, 0, [True, True]))
    assert np.frombuffer(read(rows, 0, nbytes), ml_dtypes.bfloat16)[0] == ml_dtypes.bfloat16(1 + 2.0**-7)


def test_a_source_has_the_rows_and_everything_else_as_it_was() -> None:
    state = {"e": torch.arange(12.0).reshape(4, 3), "b": torch.arange(4.0)[None], "n": torch.ones(3)}
    source = MemoryCheckpoint("m", state)
    plan = plan_rows(layout([[3, 1, -1]]), 0, [True])
    own = {name: (Origin(source, source.tensors[name]),) for name in ("e", "b")}
    rows = {name: Rows(source.tensors[name], axis, plan, own[name]) for name, axis in (("e", 0), ("b", 1))}
    found = VocabularySource(source, rows)
    assert found.changed == {"e", "b"}
    assert (found.tensors["e"].shape, found.tensors["b"].shape, found.tensors["n"].shape) == ((3, 3), (1, 3), (3,))
    assert len({found.tensors[name].file for name in ("e", "b", "n")}) == 3
    data = {name: np.frombuffer(read_tensor(found, name), np.float32).tolist() for name in state}
    assert data == {"e": [9, 10, 11, 3, 4, 5, 0, 0, 0], "b": [3, 1, 0], "n": [1, 1, 1]}


def read_tensor(source: VocabularySource, name: str) -> bytes:
    tensor = source.tensors[name]
    buffer = bytearray(tensor.nbytes)
    source.read_into(tensor, 0, memoryview(buffer))
    return bytes(buffer)


def test_far_rows_are_read_alone_and_neighbours_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gathered, taking):
        monkeypatch.setattr(module, "BLOCK_BYTES", 64)
    state = MemoryCheckpoint("m", {"e": np.arange(400.0, dtype=np.float32).reshape(100, 4)})
    calls: list[int] = []
    read_into = state.read_into

    def noted(tensor: Any, offset: int, buffer: memoryview) -> None:
        calls.append(len(buffer))
        read_into(tensor, offset, buffer)

    monkeypatch.setattr(state, "read_into", noted)
    plan = plan_rows(layout([[5, 6, 90, 7]]), 0, [True])
    found = Gathered("F32", 4, plan, [Origin(state, state.tensors["e"])])
    rows = np.frombuffer(read(found, 0, 64), np.float32).reshape(4, 4)
    assert rows[:, 0].tolist() == [20, 24, 360, 28]
    assert calls == [32, 16, 16]
