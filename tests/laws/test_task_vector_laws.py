"""Laws of task vectors, of chunks and of rounding, for every method of the registry.

Which method a law does not hold for stands in a dict with the reason; a new method is under every law at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
import torch
from checkpoint_files import assert_same, equal_bits, load, save
from in_memory import merge_states
from registry_cases import METHODS, NEUTRAL, PARTIAL, SOLVED, model_count, needs_base, shares

from merge.engine import RunSettings
from merge.registry import find_method
from merge.streaming.pieces import BLOCK_ELEMENTS

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
NO_SCALE_OF_A_TASK_VECTOR = {"passthrough": "its scale is that of the tensors themselves: 0 gives zeros"}
# The last bits of float32 may decide otherwise than those of float64, for a few entries.
NOT_SMOOTH = {
    "arcee-fusion": "an entry is one model's or the other's, by a threshold",
    "breadcrumbs": "entries are kept or dropped by rank",
    "consensus": "entries are kept or dropped by a threshold",
    "dare": "signs may be elected, entries are dropped at random",
    "della": "entries are dropped at random, by rank",
    "ram": "entries count as changed or not, by a threshold",
    "sce": "entries are selected by rank, signs are elected",
    "ties": "entries are kept or dropped by rank, signs are elected",
    "tsv-m": "directions are kept or dropped by rank",
    "iso-cts": "directions are kept or dropped by rank",
}
# With a density of 1 nothing is trimmed, and a method is then another one, to the bit or to rounding.
WITHOUT_TRIMMING: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("dare", {}, "task-arithmetic", {}),
    ("dare", {"rescale": "l1"}, "task-arithmetic", {}),
    ("dare", {"rescale": "none", "normalize": True}, "task-arithmetic", {"normalize": True}),
    ("dare", {"ties": True}, "ties", {"density": 1.0, "normalize": False}),
    ("dare", {"ties": True, "normalize": True, "scale": 0.7}, "ties", {"density": 1.0, "scale": 0.7}),
    ("della", {"ties": False, "normalize": False}, "task-arithmetic", {}),
    ("della", {"ties": False, "rescale": "l1"}, "task-arithmetic", {"normalize": True}),
    ("della", {}, "ties", {"density": 1.0}),
    ("della", {"normalize": False, "scale": 0.7}, "ties", {"density": 1.0, "normalize": False, "scale": 0.7}),
    ("breadcrumbs", {}, "task-arithmetic", {}),
    ("breadcrumbs", {"gamma": 0.3, "normalize": True}, "task-arithmetic", {"normalize": True}),
    ("breadcrumbs", {"ties": True}, "ties", {"density": 1.0, "normalize": False}),
    ("breadcrumbs", {"ties": True, "normalize": True}, "ties", {"density": 1.0}),
]
# Switches that need another one beside them.
BESIDE: dict[tuple[str, str], dict[str, Any]] = {("nuslerp", "row_wise"): {"flatten": False}}
READS_A_BASE = [name for name in METHODS if find_method(name).takes != "weights"]
WITH_SCALE = [name for name in METHODS if "scale" in find_method(name).options.declarations]
WITH_DENSITY = [name for name in METHODS if "density" in find_method(name).options.declarations]


def variants() -> list[tuple[str, dict[str, Any]]]:
    """Return every method with its defaults, and with each of its switches and choices turned."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name in METHODS:
        found.append((name, {}))
        for option in find_method(name).options.declarations.values():
            others = [not option.default] if option.type is bool else [c for c in option.choices if c != option.default]
            found += [(name, {option.name: other} | BESIDE.get((name, option.name), {})) for other in others]
    return found


def case_id(case: tuple[str, dict[str, Any]]) -> str:
    name, options = case
    return "-".join([name, *(f"{option}={value}" for option, value in options.items())])


VARIANTS = variants()
SHAPES = {
    "layers.0.column": (33, 1),
    "layers.0.convolution": (4, 3, 2, 2),
    "layers.0.empty": (0, 4),
    "layers.0.matrix": (16, 24),
    "layers.1.bias": (24,),
    "layers.1.nothing": (3, 0, 2),
    "layers.1.row": (1, 33),
    "layers.1.scalar": (),
}


def random_state(seed: int, dtype: torch.dtype, shapes: dict[str, tuple[int, ...]] = SHAPES) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype) for name, shape in shapes.items()
    }


def inputs(name: str, dtype: torch.dtype, wanted: int = 3, **more: Any) -> tuple[list[Any], Any]:
    """Return models and, for a method that needs one, a base."""
    models = [random_state(seed, dtype, **more) for seed in range(model_count(name, wanted))]
    return models, random_state(99, dtype, **more) if needs_base(name) else None


def steps_apart(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return how many numbers of the type lie between two, entry by entry; infinitely many for NaN."""
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[found.dtype.itemsize]

    def position(tensor: torch.Tensor) -> torch.Tensor:
        pattern = tensor.reshape(-1).view(bits).to(torch.int64)
        magnitude = pattern & torch.iinfo(bits).max
        return torch.where(pattern < 0, -magnitude, magnitude)

    assert torch.isfinite(found).all()
    return (position(found) - position(wanted)).abs()


@pytest.mark.parametrize("case", [case for case in VARIANTS if case[0] in READS_A_BASE], ids=case_id)
def test_a_zero_task_vector_gives_the_base(case):
    name, options = case
    for dtype in DTYPES:
        base = random_state(1, dtype)
        models = [random_state(1, dtype) for _ in range(model_count(name))]
        assert_same(merge_states(name, models, base, **options), base)


@pytest.mark.parametrize("name", READS_A_BASE)
def test_a_zero_task_vector_of_a_base_of_zeros(name):
    """Lengths, norms and deviations are then all 0; nothing may be divided by them."""
    base = {key: torch.zeros(shape) for key, shape in SHAPES.items()}
    found = merge_states(name, [dict(base) for _ in range(model_count(name))], base)
    assert all(torch.equal(found[key], base[key]) for key in base)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", [name for name in WITH_SCALE if name not in NO_SCALE_OF_A_TASK_VECTOR])
def test_a_scale_of_0_gives_the_base(name, dtype):
    models, base = inputs(name, dtype)
    found = merge_states(name, models, base, scale=0.0)
    for key, tensor in base.items():
        assert torch.equal(found[key], tensor), key


def test_a_scale_of_0_of_the_tensors_themselves():
    found = merge_states("passthrough", [random_state(1, torch.bfloat16)], scale=0.0)
    assert not any(tensor.any() for tensor in found.values())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", WITH_DENSITY)
def test_a_density_of_0_gives_the_base(name, dtype):
    models, base = inputs(name, dtype)
    for option in find_method(name).options.declarations["rescale"].choices if name in {"dare", "della"} else [None]:
        found = merge_states(name, models, base, density=0.0, **({"rescale": option} if option else {}))
        for key, tensor in base.items():
            assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.7, -0.4, 1.3]])
@pytest.mark.parametrize("normalize", [True, False])
def test_ties_with_a_density_of_1_is_the_consensus_of_whole_task_vectors(dtype, weights, normalize):
    models, base = inputs("ties", dtype)
    found = merge_states("ties", models, base, weights=weights, density=1.0, normalize=normalize)
    for key, tensor in base.items():
        everything = [np.ones(tensor.numel(), bool)] * 3
        tuned = [model[key] for model in models]
        wanted = reference.ties(tensor, tuned, weights, normalize=normalize, masks=everything)
        assert equal_bits(found[key], wanted), key


def test_every_method_with_a_density_is_compared_without_trimming():
    assert {name for name, *_ in WITHOUT_TRIMMING} == set(WITH_DENSITY) - {"ties"}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", WITHOUT_TRIMMING, ids=lambda case: case_id(case[:2]))
def test_a_density_of_1_trims_nothing(case, dtype):
    name, options, other, others = case
    models, base = inputs(name, dtype)
    for weights in ([1.0, 1.0, 1.0], [0.7, -0.4, 1.3]):
        found = merge_states(name, models, base, weights=weights, density=1.0, **options)
        wanted = merge_states(other, models, base, weights=weights, **others)
        for key, tensor in wanted.items():
            step = torch.finfo(dtype).eps
            torch.testing.assert_close(found[key], tensor, rtol=step, atol=step / 64, msg=key)


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_one_density_for_all_models_is_the_same_as_a_list_of_it(name):
    models, base = inputs(name, torch.bfloat16)
    once = merge_states(name, models, base, density=0.4)
    assert_same(merge_states(name, models, base, per_model={"density": [0.4] * len(models)}), once)
    unlike = merge_states(name, models, base, per_model={"density": [0.4, 0.4, 0.7]})
    assert not torch.equal(unlike["layers.0.matrix"], once["layers.0.matrix"])


# Streaming. A tensor that is no whole number of blocks, one whose rows are not, and one whose rows are longer.
STREAMED = SHAPES | {
    "layers.2.long": (2 * BLOCK_ELEMENTS + 3,),
    "layers.2.matrix": (BLOCK_ELEMENTS // 260 + 9, 260),
    "layers.2.wide": (2, BLOCK_ELEMENTS + 5),
}
SETTINGS = [
    RunSettings(threads=threads, chunk_elements=blocks * BLOCK_ELEMENTS)
    for threads, blocks in ((1, 1), (2, 2), (3, 3), (1, 16))
]
LARGE = {"layers.0.large": (5_000_000,), "layers.0.small": (7,)}
FLAT = [name for name in METHODS if find_method(name).access(find_method(name).options()) == "flat"]


def written(folder, shapes, dtype, number=4):
    """Write a base and models, without zeros, which may not differ in a sparse soup; return paths and contents."""
    states = [random_state(seed, dtype, shapes) for seed in range(number)]
    filled = [{key: tensor.masked_fill(tensor == 0, 1.0) for key, tensor in state.items()} for state in states]
    paths = [save(folder / f"{seed}.st", state) for seed, state in enumerate(filled)]
    return [str(path) for path in paths], [load(path) for path in paths]


@pytest.fixture(scope="module", params=[torch.bfloat16, torch.float32], ids=str)
def files(request, tmp_path_factory):
    return written(tmp_path_factory.mktemp("files"), STREAMED, request.param)


@pytest.fixture(scope="module")
def large_files(tmp_path_factory):
    return written(tmp_path_factory.mktemp("large"), LARGE, torch.bfloat16)


def merged(name: str, checkpoints: list[Any], settings: RunSettings | None = None, **options: Any) -> Any:
    base, *models = checkpoints
    count = model_count(name)
    return merge_states(name, models[:count], base if needs_base(name) else None, settings=settings, **options)


@pytest.mark.parametrize("case", VARIANTS, ids=case_id)
def test_files_in_chunks_give_the_bits_of_memory(case, files):
    name, options = case
    paths, states = files
    wanted = merged(name, states, **options)
    for settings in SETTINGS if not options else SETTINGS[1:2]:
        assert_same(merged(name, paths, settings, **options), wanted)


@pytest.mark.parametrize("name", FLAT)
def test_a_large_tensor_in_chunks_gives_the_bits_of_memory(name, large_files):
    paths, states = large_files
    wanted = merged(name, states)
    assert_same(merged(name, paths, RunSettings(threads=2, chunk_elements=3 * BLOCK_ELEMENTS)), wanted)


# Rounding. Products and sums of 16-bit numbers are made in float32, and rounded once. Where they cancel almost, the
# rounding of float32 shows: one of its steps at the size of the largest input, for every input.
@pytest.mark.parametrize("case", VARIANTS, ids=case_id)
def test_bfloat16_is_within_one_rounding_of_float64(case):
    name, options = case
    shapes = SHAPES | {"layers.2.matrix": (64, 96), "layers.2.vector": (5000,)}
    models, base = inputs(name, torch.bfloat16, shapes=shapes)
    narrow = merge_states(name, models, base, **options)

    def wide(state):
        return state and {key: tensor.to(torch.float64) for key, tensor in state.items()}

    exact = merge_states(name, [wide(model) for model in models], wide(base), dtype="F64", **options)
    flat = {
        key: torch.stack([state[key].double().reshape(-1) for state in (*models, *([base] if base else []))])
        for key in shapes
    }
    equal, fair = [], []
    for key in shapes:
        assert exact[key].dtype == torch.float64
        apart = steps_apart(narrow[key], exact[key].to(torch.bfloat16))
        cancelled = len(flat[key]) * torch.finfo(torch.float32).eps * flat[key].abs().amax(0)
        near = (narrow[key].double() - exact[key]).reshape(-1).abs() <= cancelled
        equal.append(apart == 0)
        fair.append((apart <= 1) | near)
    assert torch.cat(equal).double().mean() >= 0.99
    assert torch.cat(fair).double().mean() >= (0.999 if name in NOT_SMOOTH else 1)


# Copies. More of them than in `test_merging_laws`, and to the bit or to the next number.
COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 16)


def counts(name: str) -> list[int]:
    return [count for count in COUNTS if model_count(name, count) == count]


@pytest.mark.parametrize("name", [name for name in METHODS if not needs_base(name)])
def test_any_number_of_copies_gives_the_model(name):
    for dtype in DTYPES:
        model = random_state(1, dtype)
        for count in counts(name):
            found = merge_states(name, [dict(model) for _ in range(count)], **NEUTRAL.get(name, {}))
            # The wider type in which it is computed hides the roundings of shares and sums. Nothing is wider here.
            allowed = 0 if dtype.itemsize < 8 else max(1, count // 2)
            for key, tensor in model.items():
                if name in SOLVED and dtype.itemsize == 8:
                    torch.testing.assert_close(found[key], tensor, rtol=1e-10, atol=1e-12)
                else:
                    assert (steps_apart(found[key], tensor) <= allowed).all(), (dtype, count, key)


@pytest.mark.parametrize("name", [name for name in READS_A_BASE if name not in PARTIAL])
def test_any_number_of_copies_of_a_tuned_model_gives_it(name):
    """To the next number, but for what base + (tuned - base) loses where the tuned entry is much the smaller."""
    for dtype in DTYPES:
        base, model = random_state(99, dtype), random_state(1, dtype)
        lost = 8 * torch.finfo(torch.float32 if dtype.itemsize == 2 else torch.float64).eps
        for count in counts(name):
            own = {"weights": shares(name, count)} | NEUTRAL.get(name, {})
            found = merge_states(name, [dict(model) for _ in range(count)], base, **own)
            for key, tensor in model.items():
                near = (found[key].double() - tensor.double()).abs() <= lost
                assert ((steps_apart(found[key], tensor) <= 1) | near.reshape(-1)).all(), (dtype, count, key)
