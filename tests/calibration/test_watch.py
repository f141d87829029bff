"""Every product of activations with a parameter is seen, and nothing that the network computes changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from merge.calibration.facts import CONVOLUTION, IN_OUT
from merge.calibration.watch import OUT_IN, Watch


class Seen:
    """An observer that keeps all it is told."""

    def __init__(self) -> None:
        self.inputs: dict[str, list[torch.Tensor]] = {}
        self.layouts: dict[str, str] = {}

    def __call__(self, name: str, inputs: torch.Tensor, layout: str) -> None:
        self.inputs.setdefault(name, []).append(inputs)
        self.layouts[name] = layout

    def gram(self, name: str) -> torch.Tensor:
        rows = torch.cat([inputs.reshape(-1, inputs.shape[-1]) for inputs in self.inputs[name]]).double()
        return rows.T @ rows


def watched(module: nn.Module, *inputs: Any, convolutions: bool = False, **more: Any) -> tuple[Seen, Any]:
    """Run a module under the watch; its outputs must be those of an ordinary run."""
    module = module.eval()
    seen = Seen()
    with torch.no_grad():
        expected = module(*inputs, **more)
        with Watch(dict(module.named_parameters()), seen, convolutions=convolutions):
            found = module(*inputs, **more)
    assert_same(found, expected)
    return seen, found


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    elif hasattr(expected, "keys"):
        assert list(found) == list(expected)
        assert_same(list(found.values()), list(expected.values()))
    elif isinstance(expected, list | tuple):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)


def hooked_grams(module: nn.Module, *inputs: Any, **more: Any) -> dict[str, torch.Tensor]:
    """Grams in float64 by a forward hook on every Linear: the way of the authors' code."""
    grams: dict[str, torch.Tensor] = {}

    def hook(name: str) -> Any:
        def add(_: nn.Module, args: Any) -> None:
            rows = args[0].reshape(-1, args[0].shape[-1]).double()
            grams[name] = grams.get(name, 0) + rows.T @ rows

        return add

    handles = [
        part.register_forward_pre_hook(hook(f"{name}.weight"))
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
    ]
    with torch.no_grad():
        module.eval()(*inputs, **more)
    for handle in handles:
        handle.remove()
    return grams


def random(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


def test_linear_layers_of_networks_of_transformers_as_hooks_see_them():
    from evaluation.tiny_language_models import make_bert, make_llama, make_t5
    from evaluation.tiny_models import make_classifier

    tokens = torch.tensor([[1, 5, 9, 2], [3, 4, 8, 7]])
    cases = [(make_bert(), (tokens,), {}), (make_llama(), (tokens,), {})]
    cases += [(make_classifier(0), (random(2, 1, 8, 8).float(),), {})]
    cases += [(make_t5(), (tokens,), {"decoder_input_ids": tokens[:, :3]})]
    for module, inputs, more in cases:
        grams = hooked_grams(module, *inputs, **more)
        seen, _ = watched(module, *inputs, **more)
        matrices = {name for name, kind in seen.layouts.items() if kind == OUT_IN}
        assert {name for name, _ in module.named_parameters() if name in grams} <= matrices
        for name in matrices & set(grams):
            torch.testing.assert_close(seen.gram(name), grams[name], rtol=1e-12, atol=1e-12)
        assert len(matrices & set(grams)) >= 8


def test_gpt2_stores_its_matrices_the_other_way_round():
    from evaluation.tiny_language_models import make_gpt2

    module = make_gpt2()
    states = []
    module.transformer.h[0].attn.c_attn.register_forward_pre_hook(lambda _, args: states.append(args[0]))
    seen, _ = watched(module, torch.tensor([[1, 5, 9], [3, 4, 8]]))
    name = "transformer.h.0.attn.c_attn.weight"
    rows = states[-1].reshape(-1, 8).double()
    torch.testing.assert_close(seen.gram(name), rows.T @ rows, rtol=1e-12, atol=1e-12)
    assert seen.layouts[name] == IN_OUT
    of_blocks = {name for name in seen.layouts if ".h." in name}
    assert {seen.layouts[name] for name in of_blocks} == {IN_OUT}
    assert len(of_blocks) == 8


def naive_heads(module: nn.MultiheadAttention, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Heads [items, tokens, width], from the formula softmax(q k^T / sqrt(d)) v."""
    items, tokens, width = x.shape
    head = width // module.num_heads
    joined = x @ module.in_proj_weight.T + module.in_proj_bias
    q, k, v = (part.reshape(items, tokens, -1, head).transpose(1, 2) for part in joined.chunk(3, -1))
    scores = q @ k.transpose(-1, -2) / head**0.5
    scores = scores if mask is None else scores.masked_fill(mask[:, None, None, :], -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(items, tokens, width)


@pytest.mark.parametrize("items_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_fused_attention(items_first, need_weights, padded):
    torch.manual_seed(0)
    module = nn.MultiheadAttention(6, 2, batch_first=items_first, dtype=torch.float64)
    nn.init.normal_(module.in_proj_bias)
    nn.init.normal_(module.out_proj.bias)
    x = random(3, 5, 6)
    mask = torch.arange(5)[None] >= torch.tensor([[5], [4], [2]]) if padded else None
    given = x if items_first else x.transpose(0, 1)
    seen, _ = watched(module, given, given, given, key_padding_mask=mask, need_weights=need_weights)
    assert set(seen.inputs) == {"in_proj_weight", "out_proj.weight"}
    torch.testing.assert_close(seen.inputs["in_proj_weight"][0], x)
    torch.testing.assert_close(seen.inputs["out_proj.weight"][0], naive_heads(module, x, mask), rtol=1e-9, atol=1e-9)


def test_fused_attention_of_one_item_without_a_dimension_for_it():
    module = nn.MultiheadAttention(6, 2, dtype=torch.float64)
    x = random(5, 6)
    seen, _ = watched(module, x, x, x)
    assert seen.inputs["in_proj_weight"][0].shape == (5, 6)
    torch.testing.assert_close(seen.inputs["out_proj.weight"][0], naive_heads(module, x[None])[0])


def test_cross_attention_has_no_one_input_of_its_joined_projection():
    module = nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    seen, _ = watched(module, random(2, 3, 6), *[random(2, 5, 6)] * 2)
    assert set(seen.inputs) == {"out_proj.weight"}
    assert seen.inputs["out_proj.weight"][0].shape == (2, 3, 6)


def test_attention_with_projections_of_its_own_sees_three_inputs():
    module = nn.MultiheadAttention(6, 2, kdim=4, vdim=3, batch_first=True, dtype=torch.float64)
    query, key, value = random(2, 3, 6), random(2, 5, 4), random(2, 5, 3)
    seen, _ = watched(module, query, key, value)
    for name, inputs in (("q_proj_weight", query), ("k_proj_weight", key), ("v_proj_weight", value)):
        torch.testing.assert_close(seen.inputs[name][0], inputs)


def test_encoder_layers_of_torch_do_not_escape_by_their_fast_path():
    before = torch.backends.mha.get_fastpath_enabled()
    layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, dtype=torch.float64)
    module = nn.TransformerEncoder(layer, 2)
    seen, _ = watched(module, random(2, 5, 6))
    parts = ("self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight")
    assert set(seen.inputs) == {f"layers.{layer}.{part}" for layer in range(2) for part in parts}
    assert torch.backends.mha.get_fastpath_enabled() == before


class Bare(nn.Module):
    """Products with bare parameters, in all the ways in which they are written."""

    def __init__(self) -> None:
        super().__init__()
        for name, shape in {"a": (4, 3), "b": (3, 3), "c": (3, 5), "d": (5, 2), "e": (2, 2), "f": (6, 2)}.items():
            self.register_parameter(name, nn.Parameter(random(*shape)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.linear(input=x @ self.a, weight=self.b, bias=None)
        x = torch.addmm(torch.ones(5, dtype=x.dtype), torch.matmul(x, self.b.T), self.c)
        return torch.mm(x, self.d).matmul(self.e) @ self.f.T


def test_products_with_bare_parameters():
    module = Bare()
    x = random(7, 4)
    seen, _ = watched(module, x)
    assert seen.layouts == {"a": IN_OUT, "b": OUT_IN, "c": IN_OUT, "d": IN_OUT, "e": IN_OUT, "f": OUT_IN}
    assert len(seen.inputs["b"]) == 2
    second = x @ module.a
    torch.testing.assert_close(seen.inputs["b"][0], second)
    torch.testing.assert_close(seen.inputs["b"][1], second @ module.b.T)
    torch.testing.assert_close(seen.inputs["f"][0], (seen.inputs["e"][0] @ module.e))


def test_slices_and_strangers_are_not_told_of():
    weight = nn.Parameter(random(6, 3))
    seen = Seen()
    with torch.no_grad(), Watch({"weight": weight}, seen):
        functional.linear(random(2, 3), weight[:3])
        functional.linear(random(2, 3), random(3, 3))
    assert not seen.inputs


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 3},
        {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)},
        {"kernel_size": 4, "padding": "same", "dilation": 2},
        {"kernel_size": 2, "padding": "valid"},
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_a_convolution_is_a_product_with_its_patches(settings, dimensions):
    kind = (nn.Conv1d, nn.Conv2d)[dimensions - 1]
    if dimensions == 1:
        settings = {name: value[1] if isinstance(value, tuple) else value for name, value in settings.items()}
    torch.manual_seed(0)
    module = kind(3, 4, dtype=torch.float64, **settings)
    seen, outputs = watched(module, random(2, 3, *(9, 8)[:dimensions]), convolutions=True)
    patches = seen.inputs["weight"][0]
    by_hand = patches @ module.weight.reshape(4, -1).T + module.bias  # [items, positions, outputs]
    torch.testing.assert_close(by_hand.transpose(1, 2).reshape(outputs.shape), outputs)
    assert seen.layouts == {"weight": CONVOLUTION}


def test_convolutions_of_several_groups_and_unasked_ones_are_left_out():
    grouped = nn.Conv2d(4, 4, 3, groups=2, dtype=torch.float64)
    assert not watched(grouped, random(2, 4, 5, 5), convolutions=True)[0].inputs
    assert not watched(nn.Conv2d(3, 4, 3, dtype=torch.float64), random(2, 3, 5, 5))[0].inputs


def test_a_convolution_of_one_image_without_a_dimension_for_it():
    seen, _ = watched(nn.Conv2d(3, 4, 3, dtype=torch.float64), random(3, 5, 5), convolutions=True)
    assert seen.inputs["weight"][0].shape == (1, 9, 27)


def test_tables_of_embeddings_are_named():
    module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
    module[1].weight = module[0].weight
    seen = Seen()
    with torch.no_grad(), Watch(dict(module.named_parameters()), seen) as watch:
        module(torch.tensor([[1, 2]]))
    assert watch.embeddings == {"0.weight"}
    assert set(seen.inputs) == {"0.weight"}


def test_nothing_is_told_after_the_watch():
    module = nn.Linear(3, 2)
    seen = Seen()
    watch = Watch(dict(module.named_parameters()), seen)
    for _ in range(2):  # it may be entered again
        with watch:
            module(torch.ones(1, 3))
        module(torch.ones(1, 3))
    assert len(seen.inputs["weight"]) == 2


def test_an_error_inside_leaves_torch_as_it_was():
    module = nn.Linear(3, 2)
    seen = Seen()
    before = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(RuntimeError), Watch(dict(module.named_parameters()), seen):
        module(torch.ones(1, 4))
    assert torch.backends.mha.get_fastpath_enabled() == before
    count = len(seen.inputs["weight"])
    module(torch.ones(1, 3))
    assert len(seen.inputs["weight"]) == count


def test_open_clip_is_seen_whole(tmp_path):
    from evaluation.tiny_clip import make_open_clip

    module = make_open_clip(tmp_path)
    tokens = torch.randint(1, 90, (2, 24), generator=torch.Generator().manual_seed(0))
    seen, _ = watched(module, random(2, 3, 8, 8).float(), tokens)
    matrices = {name for name, place in module.named_parameters() if place.ndim == 2 and "embedding" not in name}
    assert set(seen.layouts) == matrices
    assert {name for name, kind in seen.layouts.items() if kind == IN_OUT} == {"visual.proj", "text_projection"}
