"""What RegMean++ refuses, and when; and what an adapter can say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from documentation.blocks import Block
from documentation.play import Cli, play
from sequential_case import Data, run, save
from torch import nn

from merge.calibration.declared import SequentialCalibration
from merge.calibration.sequential import gather, stacks
from merge.errors import MergeError, UsageError
from merge.evaluation.task import Settings

Between = Callable[[int, Any, Any], Any]


class Network(nn.Module):
    """Blocks with something in between: ``between(number, hidden, stem's output)`` is what block ``number`` gets."""

    between: Between = staticmethod(lambda number, hidden, start: hidden)

    def __init__(self, seed: int = 0, blocks: int = 3, width: int = 4) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(blocks)])

    def forward(self, x: Any) -> Any:
        start = hidden = x * 2
        for number, layer in enumerate(self.layers):
            hidden = layer(type(self).between(number, hidden, start) if number else hidden)
        return hidden


def rows(seed: int = 0, width: int = 4) -> Any:
    return torch.randn(6, 3, width, generator=torch.Generator().manual_seed(seed))


def data(make: Callable[[], Any] = Network, count: int = 2) -> list[Data]:
    return [Data(make, {"x": rows(seed)}) for seed in range(count)]


def with_between(between: Between) -> Callable[..., Any]:
    return type("Between", (Network,), {"between": staticmethod(between)})


def refused(folder: Path, make: Callable[..., Any], match: str) -> None:
    with pytest.raises(MergeError, match=match) as caught:
        run(folder, [make(seed=seed) for seed in range(2)], data(make))
    assert "docs/architecture-adapters.md" in str(caught.value)
    left = {path.name for path in folder.iterdir()}
    assert left == {"model0.safetensors", "model1.safetensors"}


def in_place(number: int, hidden: Any, start: Any) -> Any:
    hidden += 1
    return hidden


BETWEEN: dict[str, tuple[Between, str]] = {
    "something runs in between": (
        lambda number, hidden, start: hidden.relu(),
        r"layers\.1 takes something that is computed from the outputs of the blocks before it",
    ),
    "the stem again": (
        lambda number, hidden, start: start,
        r"layers\.1 does not take what layers\.0 puts out as it is",
    ),
    "changed in place": (in_place, r"layers\.1 takes outputs of the blocks before it that were changed in between"),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_blocks_that_do_not_follow_each_other(case: str, tmp_path: Path) -> None:
    between, match = BETWEEN[case]
    refused(tmp_path, with_between(between), match)


class Skipping(nn.Module):
    """The third block takes the first one's output too."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList([nn.Bilinear(4, 4, 4) for _ in range(3)])
        for layer in self.layers:
            layer.inner = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        one = self.layers[0](x, x)
        two = self.layers[1](one, x)
        return self.layers[2](two, one)


def test_a_connection_that_skips_a_block(tmp_path: Path) -> None:
    refused(tmp_path, Skipping, r"layers\.2 takes something that is computed from the outputs of the blocks before it")


class Repeating(Network):
    def forward(self, x: Any) -> Any:
        return super().forward(super().forward(x))


class Returning(Network):
    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.other = nn.Module()
        self.other.layers = nn.ModuleList([nn.Linear(4, 4)])

    def forward(self, x: Any) -> Any:
        return super().forward(self.other.layers[0](super().forward(x)))


class Backwards(Network):
    def forward(self, x: Any) -> Any:
        for layer in reversed(self.layers):
            x = layer(x)
        return x


class Forms(Network):
    """A number beside the hidden state, another one for each block."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.layers = nn.ModuleList([Sized(width) for width in (4, 5)])

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x, size = layer(x)
            assert size == x.shape[-1]
        return x


class Sized(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width + 1)

    def forward(self, x: Any) -> Any:
        return self.inner(x), x.shape[-1] + 1


class Bare(nn.Module):
    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.two(self.one(x))


class Convolutions(nn.Module):
    """The only list holds one matrix: the head of a model of convolutions."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.filters = nn.ModuleList([nn.Conv1d(3, 3, 1) for _ in range(2)])
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))

    def forward(self, x: Any) -> Any:
        for layer in self.filters:
            x = layer(x)
        return self.head(x)


class Unused(Network):
    def forward(self, x: Any) -> Any:
        return x + 1


class Caching(Network):
    def forward(self, x: Any) -> Any:
        from transformers import DynamicCache

        for layer in self.layers:
            x = layer(x, DynamicCache())
        return x

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.layers = nn.ModuleList([Remembering() for _ in range(2)])


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: Any, cache: Any) -> Any:
        return self.inner(x)


SHAPES = {
    Repeating: "the blocks of 'layers' do not run one after the other, each once",
    Returning: "the blocks of 'layers' run more than once",
    Backwards: "the blocks of 'layers' do not run one after the other, each once",
    Forms: r"layers\.1 puts out something of another form than layers\.0",
    Bare: "Bare has no list of blocks with matrices",
    Convolutions: "Convolutions has no list of blocks with matrices",
    Unused: "none of its blocks runs on these data",
    Caching: r"layers\.0 is handed a cache of keys and values",
}


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_networks_without_blocks_that_work_as_such(make: Any, tmp_path: Path) -> None:
    refused(tmp_path, make, SHAPES[make])


def test_parameters_that_two_blocks_share(tmp_path: Path) -> None:
    class Sharing(Network):
        def __init__(self, seed: int = 0) -> None:
            super().__init__(seed)
            self.layers[1].bias = self.layers[0].bias

    with pytest.raises(MergeError, match=r"'bias' of layers\.1 is the same parameter as 'bias' of layers\.0"):
        run(tmp_path, [Sharing(seed) for seed in range(2)], data(Sharing))


def test_parameters_without_a_tensor(tmp_path: Path) -> None:
    names = {f"layers.{n}.{kind}": f"layers.{n}.{kind}" for n in range(3) for kind in ("weight", "bias")}
    names.pop("layers.1.bias")
    states = [{name: tensor for name, tensor in Network(seed).state_dict().items() if name in names} for seed in (0, 1)]
    sets = [Data(Network, {"x": rows(seed)}, names=names) for seed in range(2)]
    with pytest.raises(MergeError, match=r"'bias' of layers\.1 has no tensor of its own in the checkpoint"):
        run(tmp_path, states, sets)


class Exploding:
    """Data whose network must not run."""

    name = where = "never"

    def subject(self, candidate: Any, settings: Settings) -> Any:
        found = Data(Network, {"x": rows()}).subject(candidate, settings)

        def run(inputs: Any) -> None:
            raise AssertionError("it was run")

        return type("Never", (), {"name": found.name, "module": found.module, "places": found.places, "run": run})()

    sample = Data.sample
    inputs, counted = {"x": rows()}, None


MISFITS = {
    "a block less": (Network(1, blocks=2), r"model1\.safetensors: has no tensor 'layers\.2\.\w+', which others have"),
    "a block more": (Network(1, blocks=4), r"model1\.safetensors: has 'layers\.3\.\w+' in a block, which the other"),
    "another shape": (
        Network(1, width=5),
        r"model1\.safetensors: 'layers\.0\.\w+' has the shape \[5.*\], in others \[4",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_models_that_do_not_fit_are_refused_before_anything_runs(case: str, tmp_path: Path) -> None:
    other, match = MISFITS[case]
    with pytest.raises(MergeError, match=match):
        run(tmp_path, [Network(0), other], [Exploding(), Exploding()])  # type: ignore[list-item]


def request(folder: Path, models: int = 2, sets: int = 2, base: bool = False, **options: Any) -> None:
    paths = save(folder, [Network(seed) for seed in range(models + base)])
    outs = [folder / f"gram{number}.st" for number in range(models)]
    calibration = SequentialCalibration(**options)
    start = paths[-1] if base else None
    gather(paths[:models], start, data(count=sets), calibration, 0.9, [1 / models] * models, Settings(), outs)


def test_requests_that_do_not_fit_together(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="merges two models or more, not 1"):
        request(tmp_path, models=1, sets=1, final_norm="mean")
    with pytest.raises(UsageError, match="2 models, but data for 1"):
        request(tmp_path, sets=1, final_norm="mean")
    with pytest.raises(UsageError, match=r"there is no base .*give --base, or --final-norm mean"):
        request(tmp_path)
    (tmp_path / "gram1.st").write_bytes(b"")
    with pytest.raises(UsageError, match=r"gram1\.st"):
        request(tmp_path, final_norm="mean")


def test_a_recipe_has_no_blocks_to_read(tmp_path: Path) -> None:
    paths = save(tmp_path, [Network(0), Network(1)])
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge: soup\nmodels: [{paths[0]}, {paths[1]}]\n")
    calibration = SequentialCalibration(final_norm="mean")
    outs = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(UsageError, match="write its model first: merge run"):
        gather([paths[0], str(recipe)], None, data(), calibration, 0.9, [0.5, 0.5], Settings(), outs)


def test_a_region_without_a_block(tmp_path: Path) -> None:
    models = [Network(seed, blocks=2) for seed in range(2)]
    with pytest.raises(UsageError, match="the region 'middle' holds no block"):
        run(tmp_path, models, data(lambda: Network(blocks=2)), region="middle")


def test_activations_that_are_not_finite(tmp_path: Path) -> None:
    models = [Network(0), Network(1)]
    models[1].layers[1].bias.data[:] = 1e30
    for model in models:
        model.layers[2].weight.data[:] = 1e30
    with pytest.raises(MergeError, match=r"model0\.safetensors: the inputs of 'layers\.2\.weight' are not finite"):
        run(tmp_path, models, data())
    assert not list(tmp_path.glob("gram*"))


class MyVisionTower(nn.Module):
    """What `docs/architecture-adapters.md` describes: a list of blocks with another one beside it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.trunk, self.aside = nn.Module(), nn.ModuleList([nn.Linear(4, 4) for _ in range(2)])
        self.trunk.steps = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.trunk.scale = Scale()
        self.to_shared_space = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        hidden = self.trunk.steps[0](x)
        self.aside[0](x)
        for step in self.trunk.steps[1:]:
            hidden = step(hidden)
        return self.to_shared_space(self.trunk.scale(hidden))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.rand(4))

    def forward(self, x: Any) -> Any:
        return x * self.factor


def test_the_adapter_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    models, base = [MyVisionTower(0), MyVisionTower(1)], MyVisionTower(2)
    with pytest.raises(MergeError, match=r"the blocks of 'trunk\.steps' do not run one after the other"):
        run(tmp_path, models, data(MyVisionTower), base=base)

    def add(block: Block, _: Cli) -> None:
        adapter = eval(block.text, {"Adapter": stacks.Adapter})
        monkeypatch.setattr(stacks, "ADAPTERS", [*stacks.ADAPTERS, adapter])

    play("architecture-adapters.md", cli, add)
    monkeypatch.setattr(MyVisionTower, "__module__", "my_library.towers")
    found = run(tmp_path, models, data(MyVisionTower), base=base)
    assert found.found.from_base == ("to_shared_space.bias", "to_shared_space.weight", "trunk.scale.factor")
    assert set(found.grams[0]) == {f"trunk.steps.{number}.weight" for number in range(3)}
    assert found.found.notes[0] == "'trunk.steps': 3 blocks, one after the other"


def test_blocks_may_write_into_their_input(tmp_path: Path) -> None:
    """The activations that are kept must not change when a model's block runs on them."""

    class Writing(nn.Module):
        def __init__(self, spoil: bool) -> None:
            super().__init__()
            self.inner, self.spoil = nn.Linear(4, 4), spoil

        def forward(self, x: Any) -> Any:
            found = x + self.inner(x)
            if self.spoil:
                x.add_(100)
            return found

    def make(seed: int = 0, spoil: bool = True) -> Any:
        network = Network(seed)
        network.layers = nn.ModuleList([Writing(spoil) for _ in range(3)])
        return network

    models = [make(seed) for seed in range(2)]
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    spoiling = run(tmp_path / "one", models, data(make))
    harmless = run(tmp_path / "other", models, data(lambda: make(spoil=False)))
    assert all(torch.equal(spoiling.grams[1][name], gram) for name, gram in harmless.grams[1].items())


def test_convolutions_make_blocks_where_they_are_asked_for(tmp_path: Path) -> None:
    found = run(tmp_path, [Convolutions(), Convolutions()], data(Convolutions), convolutions=True)
    assert found.found.notes == ("'filters': 2 blocks, one after the other",)
    assert set(found.grams[0]) == {"filters.0.weight", "filters.1.weight", "head.1.weight"}
