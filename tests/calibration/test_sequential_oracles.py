"""RegMean++ against numbers worked out by hand (specification of RegMean++, oracles P1 to P3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from sequential_case import Data, run
from torch import nn

A, B = torch.tensor([[1.0, 0], [0, 1]]).double(), torch.tensor([[1.0, 1], [1, -1]]).double()


def matrix(*rows: Any) -> Any:
    return torch.tensor(rows, dtype=torch.float64)


def linear(weight: Any) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False).double()
    layer.weight.data.copy_(weight)
    return layer


class Rectified(nn.Module):
    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.one = linear(weight)

    def forward(self, x: Any) -> Any:
        return self.one(x).relu()


class Residual(nn.Module):
    def __init__(self, one: Any, two: Any) -> None:
        super().__init__()
        self.one, self.two = linear(one), linear(two)

    def forward(self, x: Any) -> Any:
        return x + self.two(self.one(x).relu())


class Stacked(nn.Module):
    def __init__(self, *blocks: Any) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return x


ZERO = torch.zeros(2, 2).double()
W1 = matrix([1, 0], [0, 1]), matrix([2, 1], [-1, 1])
W2 = matrix([1, 1], [0, 1]), matrix([0, 1], [1, -1])
V = matrix([1, 0], [1, 1]), matrix([0, 2], [1, 0])
MERGED_W1 = matrix([5 / 3, 2 / 3], [-2 / 3, 1])
REGMEAN_W2 = matrix([0.0909090909, 1], [0.9090909091, 1])


def check(found: Any, wanted: Any) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def close(found: Any, wanted: Any) -> None:
    """Compare with a number of the specification, which has ten digits."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def data(make: Any) -> list[Data]:
    return [Data(make, {"x": x}) for x in (A, B)]


@pytest.mark.parametrize("granularity", ["block", "linear"])
def test_p1_every_linear_a_block(tmp_path: Path, granularity: str) -> None:
    models = [Stacked(Rectified(one), linear(two)) for one, two in zip(W1, W2, strict=True)]
    make = lambda: Stacked(Rectified(ZERO), linear(ZERO))  # noqa: E731
    found = run(tmp_path, models, data(make), granularity=granularity).tensors
    check(found["blocks.0.one.weight"], MERGED_W1)
    close(found["blocks.1.weight"], matrix([0.3093942246, 1.1780087572], [0.5506540628, 0.7857347465]))


@pytest.mark.parametrize(
    ("granularity", "wanted_w2", "wanted_v"),
    [
        ("block", REGMEAN_W2, matrix([0.0948440892, 1.2891498902], [1.1125426251, 0.3851675797])),
        (
            "linear",
            matrix([0.3093942246, 1.1780087572], [0.5506540628, 0.7857347465]),
            matrix([0.2304881663, 1.2665975611], [1.0456082215, 0.4192917179]),
        ),
    ],
)
def test_p2(tmp_path: Path, granularity: str, wanted_w2: Any, wanted_v: Any) -> None:
    models = [Stacked(Residual(*each[:2]), linear(each[2])) for each in zip(W1, W2, V, strict=True)]
    make = lambda: Stacked(Residual(ZERO, ZERO), linear(ZERO))  # noqa: E731
    found = run(tmp_path, models, data(make), granularity=granularity).tensors
    check(found["blocks.0.one.weight"], MERGED_W1)
    close(found["blocks.0.two.weight"], wanted_w2)
    close(found["blocks.1.weight"], wanted_v)


def test_p2_plain_regmean_on_the_same_network(tmp_path: Path) -> None:
    """The first block, with nothing below it, is RegMean's; one block that is the whole network is all RegMean."""
    models = [Stacked(Stacked(Residual(*each[:2]), linear(each[2]))) for each in zip(W1, W2, V, strict=True)]

    class Whole(nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return self.inner.blocks[1](self.inner.blocks[0](x))

    models = [Stacked(Whole(model.blocks[0])) for model in models]
    make = lambda: Stacked(Whole(Stacked(Residual(ZERO, ZERO), linear(ZERO))))  # noqa: E731
    found = run(tmp_path, models, data(make)).tensors
    check(found["blocks.0.inner.blocks.0.one.weight"], MERGED_W1)
    close(found["blocks.0.inner.blocks.0.two.weight"], REGMEAN_W2)
    close(found["blocks.0.inner.blocks.1.weight"], matrix([0.5546734031, 1.5402381812], [1.1299169975, 0.1649224107]))


class Towered(nn.Module):
    """Stem, blocks and a norm."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Linear(3, 4).double()
        self.blocks = nn.ModuleList([Normed() for _ in range(3)])
        self.norm = nn.LayerNorm(4).double()
        nn.init.normal_(self.norm.weight)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.one, self.two = (
            nn.LayerNorm(4).double(),
            nn.Linear(4, 6).double(),
            nn.Linear(6, 4).double(),
        )
        nn.init.normal_(self.norm.weight)

    def forward(self, x: Any) -> Any:
        return x + self.two(self.one(self.norm(x)).tanh())


def rows(seed: int, count: int = 20) -> Any:
    return torch.randn(count, 5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain_grams(model: Towered, x: Any) -> dict[str, Any]:
    """RegMean's: the model's own activations all the way."""
    found: dict[str, Any] = {}
    hooks = [
        module.register_forward_pre_hook(
            lambda _, args, name=name: found.update({name: args[0].reshape(-1, args[0].shape[-1])})
        )
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return {f"{name}.weight": inputs.T @ inputs / len(inputs) for name, inputs in found.items()}


def test_p3_the_first_block_is_regmeans_where_the_stems_are_equal(tmp_path: Path) -> None:
    models = [Towered(0), Towered(1)]
    models[1].stem.load_state_dict(models[0].stem.state_dict())
    sets = [rows(0), rows(1)]
    found = run(tmp_path, models, [Data(lambda: Towered(5), {"x": x}) for x in sets])
    for model, x, grams in zip(models, sets, found.grams, strict=True):
        wanted = plain_grams(model, x)
        for name in ("blocks.0.one.weight", "blocks.0.two.weight"):
            torch.testing.assert_close(grams[name], wanted[name], rtol=1e-9, atol=1e-9)
        assert not torch.allclose(grams["blocks.1.one.weight"], wanted["blocks.1.one.weight"], atol=1e-3)
        assert "stem.weight" not in grams


def test_p3_in_general_it_is_not_since_the_stem_is_averaged_first(tmp_path: Path) -> None:
    models, sets = [Towered(0), Towered(1)], [rows(0), rows(1)]
    found = run(tmp_path, models, [Data(lambda: Towered(5), {"x": x}) for x in sets])
    wanted = plain_grams(models[0], sets[0])["blocks.0.one.weight"]
    assert not torch.allclose(found.grams[0]["blocks.0.one.weight"], wanted, atol=1e-3)


@pytest.mark.parametrize("granularity", ["block", "linear"])
def test_p3_identical_models_give_that_model_with_the_bases_norm(tmp_path: Path, granularity: str) -> None:
    model, base = Towered(0), Towered(9)
    sets = [Data(lambda: Towered(5), {"x": rows(seed)}) for seed in range(3)]
    found = run(tmp_path, [model] * 3, sets, base=base, granularity=granularity)
    assert found.found.from_base == ("norm.bias", "norm.weight")
    wanted = model.state_dict() | {name: base.state_dict()[name] for name in found.found.from_base}
    for name, tensor in wanted.items():
        torch.testing.assert_close(found.tensors[name], tensor, rtol=0, atol=1e-9)


def test_the_order_of_the_models_and_the_size_of_batches_do_not_matter(tmp_path: Path) -> None:
    models, sets = [Towered(0), Towered(1)], [rows(0), rows(1, 7)]
    make = lambda: Towered(5)  # noqa: E731
    one = run(tmp_path, models, [Data(make, {"x": x}) for x in sets], batch_size=3).tensors
    other = run(tmp_path, models[::-1], [Data(make, {"x": x}) for x in sets[::-1]], batch_size=100).tensors
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=0, atol=1e-9)


def test_weights_of_one_and_nothing_give_the_one(tmp_path: Path) -> None:
    models = [Towered(0), Towered(1)]
    sets = [Data(lambda: Towered(5), {"x": rows(seed)}) for seed in range(2)]
    found = run(tmp_path, models, sets, weights=[1.0, 0.0]).tensors
    for name, tensor in models[0].state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-8)


def test_the_disk_cache_gives_the_same_bytes_and_leaves_nothing(tmp_path: Path) -> None:
    models = [Towered(0), Towered(1)]
    results = []
    for cache in ("memory", "disk"):
        (tmp_path / cache).mkdir()
        sets = [Data(lambda: Towered(5), {"x": rows(seed)}) for seed in range(2)]
        results.append(run(tmp_path / cache, models, sets, cache=cache))
        names = {"model0.safetensors", "model1.safetensors", "gram0.safetensors", "gram1.safetensors"}
        assert {path.name for path in (tmp_path / cache).iterdir()} == names
    for one, other in zip(*(result.grams for result in results), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("region", "blocks"), [("early", {0}), ("middle", {1}), ("late", {2})])
def test_a_region_is_regressed_and_the_rest_averaged(tmp_path: Path, region: str, blocks: set[int]) -> None:
    models = [Towered(0), Towered(1)]
    sets = [Data(lambda: Towered(5), {"x": rows(seed)}) for seed in range(2)]
    found = run(tmp_path, models, sets, region=region)
    assert set(found.grams[0]) == {f"blocks.{block}.{name}.weight" for block in blocks for name in ("one", "two")}
