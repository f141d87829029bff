"""The same bytes for any number of threads, any chunk size, either backend, and from files as from memory."""

from __future__ import annotations

import itertools

import pytest
import torch
from checkpoint_files import assert_same, load, random_state, save
from in_memory import merge_states, recipe_of, run_recipe
from registry_cases import APPROXIMATE, METHODS, PERMISSIVE, model_count, needs_base

from merge import engine
from merge.dtypes import torch_dtype
from merge.engine import RunSettings
from merge.registry import find_method
from merge.streaming.torch_backend import TorchBackend

SETTINGS = list(itertools.product((1, 2, 3, 7), (65536, 131072, 262144, 524288)))
FLOATS = ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"]


def models_of(method: str, dtype: torch.dtype, sizes: dict[str, int], spread: float = 1.0):
    """Return a base or None, and models; numbers on a grid, so that magnitudes are often equal."""
    generator = torch.Generator().manual_seed(5)
    if find_method(method).uses_place:
        sizes = {f"layers.{number}.{name}": size for number, (name, size) in enumerate(sizes.items())}

    def make():
        return {
            name: (torch.randint(-40, 41, (size,), generator=generator) / 32 * spread).to(dtype)
            for name, size in sizes.items()
        }

    return (make() if needs_base(method) else None), [make() for _ in range(model_count(method, 2))]


@pytest.fixture(scope="module")
def expected():
    return {}


@pytest.mark.parametrize(("threads", "chunk"), SETTINGS)
@pytest.mark.parametrize("method", METHODS)
def test_threads_and_chunks(method, threads, chunk, expected):
    sizes = {"a": 700_001, "b": 17, "c": 65536, "d": 300_000}
    base, models = models_of(method, torch.bfloat16, sizes)
    _, _, outcome = run_recipe(
        recipe_of(method, models, base, **PERMISSIVE.get(method, {})),
        RunSettings(threads=threads, chunk_elements=chunk),
    )
    found = (outcome.output_id, tuple(outcome.input_ids))
    assert expected.setdefault(method, found) == found


@pytest.mark.parametrize("method", METHODS)
def test_files_of_small_tensors_with_threads_and_chunks(method, tmp_path, expected):
    """Neighbours in files are joined and processed as one; that must not show either."""
    sizes = {f"layers.{number}.w": 1000 + number * 37 for number in range(150)}
    base, models = models_of(method, torch.float16, sizes)
    memory = merge_states(method, models, base, **PERMISSIVE.get(method, {}))
    paths = [str(save(tmp_path / f"{number}.st", state)) for number, state in enumerate(models)]
    base_path = str(save(tmp_path / "base.st", base)) if base else None
    for threads, chunk in SETTINGS[::5]:
        settings = RunSettings(threads=threads, chunk_elements=chunk)
        assert_same(merge_states(method, paths, base_path, settings=settings, **PERMISSIVE.get(method, {})), memory)


def assert_alike(method: str, found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Assert the same bits, or neighbours in the type where a method is not the same to the last bit."""
    if method not in APPROXIMATE:
        assert_same(found, wanted)
        return
    for name, tensor in wanted.items():
        step = torch.finfo(tensor.dtype).eps
        one, other = found[name].to(torch.float64), tensor.to(torch.float64)
        torch.testing.assert_close(one, other, rtol=step, atol=max(step / 64, 1e-14))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("method", METHODS)
def test_torch_on_the_cpu_gives_the_bits_of_numpy(method, dtype, monkeypatch):
    torch_type = torch_dtype(dtype)
    base, models = models_of(method, torch_type, {"w": 70_001, "s": 3}, spread=0.9)
    by_numpy = merge_states(method, models, base, **PERMISSIVE.get(method, {}))
    monkeypatch.setattr(engine, "choose_backend", lambda *_: (lambda: TorchBackend("cpu"), 2**20))
    assert_alike(method, merge_states(method, models, base, **PERMISSIVE.get(method, {})), by_numpy)


@pytest.mark.parametrize("target", FLOATS)
@pytest.mark.parametrize("method", METHODS)
def test_torch_rounds_to_an_output_type_as_numpy(method, target, monkeypatch):
    base, models = models_of(method, torch.float32, {"w": 70_001}, spread=0.7)
    by_numpy = merge_states(method, models, base, dtype=target, **PERMISSIVE.get(method, {}))
    monkeypatch.setattr(engine, "choose_backend", lambda *_: (lambda: TorchBackend("cpu"), 2**20))
    assert_alike(method, merge_states(method, models, base, dtype=target, **PERMISSIVE.get(method, {})), by_numpy)


def test_one_file_for_any_threads(cli, trio, tmp_path):
    base, one, two = trio
    for threads in (1, 2, 7):
        flags = ("--base", base, "--threads", threads, "-o", tmp_path / f"{threads}.safetensors")
        assert cli("ties", one, two, *flags).code == 0
    found = {(tmp_path / f"{threads}.safetensors").read_bytes() for threads in (1, 2, 7)}
    assert len(found) == 1


def test_one_file_wherever_the_inputs_lie(cli, tmp_path):
    outputs = []
    for folder in ("here", "elsewhere"):
        paths = [save(tmp_path / folder / f"{seed}{folder}.st", random_state(seed)) for seed in (1, 2)]
        assert cli("soup", *paths, "-o", tmp_path / folder / "out.st").code == 0
        outputs.append((tmp_path / folder / "out.st").read_bytes())
    assert outputs[0] == outputs[1]
    assert load(tmp_path / "here" / "out.st").keys() == random_state(1).keys()
