"""A source with its tensors gathered gives the bytes that torch's index_select gives, whatever range is asked for."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import bytes_of, save, write_raw, write_sparse
from in_memory import recipe_of, run_recipe

from merge.alignment.groups import Group, Groups, Member
from merge.alignment.permutations import axis_indices
from merge.checkpoints import gathering
from merge.checkpoints.memory import MemoryCheckpoint
from merge.checkpoints.permuted import PermutedSource
from merge.checkpoints.resolve import open_checkpoint
from merge.content_id import tensor_digests
from merge.dtypes import DTYPES, torch_dtype
from merge.engine import RunSettings
from merge.errors import MergeError

TYPED = [code for code, dtype in DTYPES.items() if dtype.torch and dtype.bits >= 8]
Orders = Mapping[int, np.ndarray]


def random_bits(shape: tuple[int, ...], code: str, seed: int = 0) -> torch.Tensor:
    """Return a tensor of any bit patterns, NaN among them; of ones and zeros where the type is bool."""
    generator = torch.Generator().manual_seed(seed)
    width = DTYPES[code].bits // 8
    raw = torch.randint(0, 2 if code == "BOOL" else 256, (*shape, width), generator=generator, dtype=torch.uint8)
    return raw.view(torch_dtype(code)).reshape(shape)


def shuffled(shape: tuple[int, ...], axes: tuple[int, ...], seed: int = 0) -> dict[int, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {axis: generator.permutation(shape[axis]) for axis in axes}


def selected(tensor: torch.Tensor, orders: Orders) -> bytes:
    """Return the bytes that torch gathers, through a type in which it can index."""
    raw = tensor.contiguous().view(torch.uint8).reshape(*tensor.shape, tensor.element_size())
    for axis, order in orders.items():
        raw = raw.index_select(axis, torch.from_numpy(order))
    return raw.contiguous().numpy().tobytes()


def permuted(state: Mapping[str, torch.Tensor], indices: Mapping[str, Orders]) -> PermutedSource:
    return PermutedSource(MemoryCheckpoint("a", state), indices, "a, aligned")


def read(source: Any, name: str, offset: int = 0, length: int | None = None) -> bytes:
    tensor = source.tensors[name]
    buffer = bytearray(tensor.nbytes - offset if length is None else length)
    source.read_into(tensor, offset, memoryview(buffer))
    return bytes(buffer)


@pytest.fixture(params=[1, 7, 40, 2**22], ids=lambda size: f"cells{size}")
def cell_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Cells of one element, of some rows, of everything: all ways of cutting a tensor."""
    monkeypatch.setattr(gathering, "CELL_BYTES", request.param)
    monkeypatch.setattr(gathering, "CELLS_AT_ONCE", 5)
    return int(request.param)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_every_range_of_bytes(axes: tuple[int, ...], cell_bytes: int) -> None:
    tensor, orders = random_bits((4, 3, 5), "F16"), shuffled((4, 3, 5), axes, seed=3)
    wanted = selected(tensor, orders)
    source = permuted({"w": tensor}, {"w": orders})
    for first in range(len(wanted) + 1):
        for last in range(first, len(wanted) + 1):
            assert read(source, "w", first, last - first) == wanted[first:last]


@pytest.mark.parametrize("code", TYPED)
def test_every_type_bit_for_bit(code: str, cell_bytes: int) -> None:
    tensor, orders = random_bits((6, 4), code), shuffled((6, 4), (0, 1))
    assert read(permuted({"w": tensor}, {"w": orders}), "w") == selected(tensor, orders)


@pytest.mark.parametrize("shape", [(9,), (1, 9), (4, 3, 2, 5), (3, 4, 0)], ids=str)
def test_all_axes_of_any_shape(shape: tuple[int, ...], cell_bytes: int) -> None:
    tensor, orders = random_bits(shape, "F32"), shuffled(shape, tuple(range(len(shape))))
    assert read(permuted({"w": tensor}, {"w": orders}), "w") == selected(tensor, orders)


def test_large_matrices_in_chunks_out_of_order() -> None:
    """Rows longer than the cells' limit allows for in number, read from both ends."""
    tensor, orders = random_bits((700, 3000), "F32"), shuffled((700, 3000), (0, 1))
    wanted, source = selected(tensor, orders), permuted({"w": tensor}, {"w": orders})
    step = 1_000_003
    starts = list(range(0, len(wanted), step))
    for start in starts[::-1] + starts:
        length = min(step, len(wanted) - start)
        assert read(source, "w", start, length) == wanted[start : start + length]


def test_orders_of_nested_groups() -> None:
    """Heads move, and within each head the rows: what comes out is what gathering by hand gives."""
    heads = Group("heads", 3, (Member("w", 0, (2, 3, 4), 1),))
    within = Group("within", 4, (Member("w", 0, (2, 3, 4), 2),), parent="heads")
    groups = Groups({"heads": heads, "within": within})
    generator = np.random.default_rng(1)
    orders = {"heads": np.array([2, 0, 1]), "within": np.stack([generator.permutation(4) for _ in range(3)])}
    tensor = torch.arange(48.0).reshape(24, 2)
    by_hand = tensor.reshape(2, 3, 4, 2)
    by_hand = torch.stack([by_hand[:, head, orders["within"][head]] for head in orders["heads"]], 1).reshape(24, 2)
    source = permuted({"w": tensor}, axis_indices(groups, orders, {"w": (24, 2)}))
    assert read(source, "w") == bytes_of(by_hand.contiguous())


def test_tensors_that_stay_are_passed_through() -> None:
    state = {name: random_bits((4,), "F32", seed) for seed, name in enumerate("abc")}
    source = permuted(state, {"b": {0: np.arange(4)}, "c": {0: np.array([1, 0, 2, 3])}})
    original = MemoryCheckpoint("a", state)
    assert [source.tensors[name] == original.tensors[name] for name in "abc"] == [True, True, False]
    assert read(source, "b") == bytes_of(state["b"])


def test_moved_neighbours_are_not_taken_for_one_range(tmp_path: Path) -> None:
    state = {name: random_bits((4,), "F32", seed) for seed, name in enumerate("abcd")}
    order = np.array([3, 1, 0, 2])
    source = PermutedSource(
        open_checkpoint(str(save(tmp_path / "a.st", state))), {"b": {0: order}, "c": {0: order}}, ""
    )
    files = [source.tensors[name].file for name in "abcd"]
    assert files[0] == files[3]
    assert len(set(files)) == 3


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", {"w": torch.rand(3, 2)}, {"merge.output": "0", "merge.tool": "x"})
    (tmp_path / "config.json").write_text('{"hidden_size": 2}')
    original, again = open_checkpoint(str(tmp_path)), open_checkpoint(str(path))
    one, same = (PermutedSource(x, {"w": {0: np.array([2, 1, 0])}}, "aligned") for x in (original, again))
    other = PermutedSource(original, {"w": {0: np.array([1, 2, 0])}}, "aligned")
    assert dict(one.metadata) == {"merge.tool": "x"}
    assert one.config == {"hidden_size": 2}
    assert (one.folder, one.weights_name) == (tmp_path, "model.safetensors")
    assert one.identities == same.identities
    assert one.identities != other.identities
    assert one.identities[:1] == original.identities
    assert one.identities != original.identities
    assert permuted({"w": torch.rand(2)}, {"w": {0: np.array([1, 0])}}).identities == []


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.st", {"w": torch.rand(2)})
    source = PermutedSource(open_checkpoint(str(path)), {"w": {0: np.array([1, 0])}}, "aligned")
    source.check_unchanged()
    save(path, {"w": torch.rand(3)})
    with pytest.raises(MergeError, match="changed while it was read"):
        source.check_unchanged()
    source.close()


@pytest.mark.parametrize(
    ("indices", "problem"),
    [
        ({"v": {0: [1, 0]}}, "'v', which it does not have"),
        ({"w": {0: [1, 0, 1]}}, r"axis 0 of 'w', of shape \[3, 2\], is no order"),
        ({"w": {0: [2, 1, -1]}}, "is no order"),
        ({"w": {1: [2, 1, 0]}}, "axis 1 of 'w'"),
        ({"w": {2: [1, 0]}}, "axis 2 of 'w'"),
    ],
)
def test_what_is_no_order_is_refused(indices: Any, problem: str) -> None:
    state = {"w": torch.rand(3, 2)}
    arrays = {name: {axis: np.array(order) for axis, order in axes.items()} for name, axes in indices.items()}
    with pytest.raises(MergeError, match=problem):
        permuted(state, arrays)


def test_entries_narrower_than_a_byte_are_refused_only_where_they_move(tmp_path: Path) -> None:
    header = {"w": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}
    source = open_checkpoint(str(write_raw(tmp_path / "a.st", header, b"\x12\x34")))
    assert read(PermutedSource(source, {"w": {0: np.arange(4)}}, ""), "w") == b"\x12\x34"
    with pytest.raises(MergeError, match=r"'w' has entries narrower than a byte \(F4\)"):
        PermutedSource(source, {"w": {0: np.array([1, 0, 2, 3])}}, "")


def test_only_the_rows_of_a_range_are_read_and_neighbours_at_once(tmp_path: Path) -> None:
    """A matrix beyond the limit of a cell: 1,000 rows of 20,000 bytes."""
    tensor = random_bits((1000, 5000), "F32")
    asked: list[tuple[int, int]] = []
    memory = MemoryCheckpoint("a", {"w": tensor})
    original = memory.read_into
    memory.read_into = lambda info, offset, buffer: (  # type: ignore[method-assign]
        asked.append((offset, len(buffer))),
        original(info, offset, buffer),
    )[1]
    order = np.roll(np.arange(1000), 3)
    for orders in ({0: order}, {0: order, 1: np.roll(np.arange(5000), 1)}):
        asked.clear()
        read(PermutedSource(memory, {"w": orders}, ""), "w", 0, 10 * 20_000)
        assert asked == [(997 * 20_000, 3 * 20_000), (0, 7 * 20_000)]


def test_large_tensors_need_little_memory(tmp_path: Path) -> None:
    """200 MB in ranges of 1 MiB, both axes moved, and rows of 80 MB: far less is held than that."""
    layout = {"w": ("F32", [10_000, 5_000], 200_000_000), "v": ("F16", [3, 40_000_000], 240_000_000)}
    path = write_sparse(tmp_path / "a.st", layout)
    orders = {"w": shuffled((10_000, 5_000), (0, 1)), "v": {0: np.array([2, 0, 1])}}
    source = PermutedSource(open_checkpoint(str(path)), orders, "")
    buffer = memoryview(bytearray(2**20))
    before = peak_bytes()
    for name, tensor in source.tensors.items():
        for offset in range(0, tensor.nbytes, len(buffer)):
            source.read_into(source.tensors[name], offset, buffer[: tensor.nbytes - offset])
    assert peak_bytes() - before < 40 * 2**20
    source.close()


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_several_threads_read_at_once() -> None:
    state = {f"w{number}": random_bits((300, 200), "F32", number) for number in range(4)}
    indices = {name: shuffled((300, 200), (0, 1), seed) for seed, name in enumerate(state)}
    source, wrong = permuted(state, indices), []

    def check(number: int) -> None:
        for turn in range(20):
            name = f"w{(number + turn) % 4}"
            wanted = selected(state[name], indices[name])
            start = (turn * 9_973) % len(wanted)
            if read(source, name, start, min(50_000, len(wanted) - start)) != wanted[start : start + 50_000]:
                wrong.append((number, turn))

    threads = [threading.Thread(target=check, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def many_tensors(seed: int) -> dict[str, torch.Tensor]:
    """Small neighbours that the engine joins, a matrix of several chunks, integers, an empty tensor."""
    state = {f"layers.{number:02d}.w": random_floats((24, 16), seed + number) for number in range(40)}
    state |= {f"layers.{number:02d}.b": random_floats((24,), seed + number) for number in range(40)}
    return state | {"big": random_floats((900, 1200), seed), "steps": torch.arange(24), "none": torch.zeros(0, 3)}


def random_floats(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(torch.bfloat16)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_whole_merge_is_that_of_the_moved_tensors(
    threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine cuts, joins and hashes: the outcome and its content ids are those of files that hold what is read."""
    one, two = many_tensors(0), many_tensors(100)
    two["steps"] = one["steps"]
    indices = {name: shuffled(tuple(two[name].shape), (0,), 5) for name in two if name.endswith((".w", "8.b"))}
    indices["big"] = shuffled((900, 1200), (0, 1), 6)
    moved = dict(two) | {name: _moved(two[name], orders) for name, orders in indices.items()}
    paths = {name: save(tmp_path / f"{name}.st", state) for name, state in {"a": one, "b": two, "c": moved}.items()}

    def opened(location: str, **more: Any) -> Any:
        source = open_checkpoint(location, **more)
        return PermutedSource(source, indices, "aligned") if location.endswith("b.st") else source

    monkeypatch.setattr("merge.planning.opening.open_checkpoint", opened)
    settings = RunSettings(threads=threads, chunk_elements=65_536)
    found = [run_recipe(recipe_of("soup", [str(paths["a"]), str(paths[name])]), settings) for name in "bc"]
    (state, _, outcome), (wanted, _, known) = found
    assert {name: bytes_of(tensor) for name, tensor in state.items()} == {
        name: bytes_of(tensor) for name, tensor in wanted.items()
    }
    assert outcome.input_ids == known.input_ids
    assert outcome.output_id == known.output_id


def _moved(tensor: torch.Tensor, orders: Orders) -> torch.Tensor:
    for axis, order in orders.items():
        tensor = tensor.index_select(axis, torch.from_numpy(order))
    return tensor


def test_the_model_and_its_reordered_self_are_two_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a model and half of itself in another order is no copy of it."""
    state = {"w": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
    path, twin = save(tmp_path / "a.st", state), tmp_path / "twin.st"
    twin.symlink_to(path)

    def opened(location: str, **more: Any) -> Any:
        source = open_checkpoint(location, **more)
        return PermutedSource(source, {"w": {0: np.array([1, 0])}}, "") if location.endswith("twin.st") else source

    monkeypatch.setattr("merge.planning.opening.open_checkpoint", opened)
    merged, plan, _ = run_recipe(recipe_of("soup", [str(path), str(twin)]))
    assert merged["w"].tolist() == [[2.0, 3.0], [2.0, 3.0]]
    assert not [warning for warning in plan.warnings if "more than once" in warning]


def test_digests_are_those_of_the_moved_bytes() -> None:
    tensor, orders = random_bits((50, 40), "BF16"), shuffled((50, 40), (0, 1))
    source = permuted({"w": tensor}, {"w": orders})
    by_hand = MemoryCheckpoint("b", {"w": _moved(tensor, orders)})
    assert tensor_digests(source.tensors.values(), source.read_into) == tensor_digests(
        by_hand.tensors.values(), by_hand.read_into
    )
