"""What single operations do to axes: proven on small modules, and no more pinned than need be."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from merge.alignment.derive import derive_groups
from merge.alignment.verify import verify_groups
from merge.errors import MergeError
from tests.alignment.architectures import places

WIDTH = 12


class Between(nn.Module):
    """A hidden layer, something done to it, and an output layer."""

    def __init__(self, operation, width=WIDTH, wide=None, **parts):
        super().__init__()
        self.first, self.last = nn.Linear(6, width), nn.Linear(wide or width, 3)
        self.operation = operation
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, inputs):
        return self.last(self.operation(self, self.first(inputs)))


def derived(module, *inputs):
    torch.manual_seed(0)
    inputs = inputs or (torch.randn(2, 5, 6),)
    groups = derive_groups(module, places(module), inputs)
    assert verify_groups(module, places(module), groups, inputs).largest <= 1e-5
    return groups


def found(groups):
    """Members of each group as text, by name."""
    return {
        name: {str(member) for member in group.members if not member.tensor.endswith("bias")}
        for name, group in groups.groups.items()
    }


def one_group(groups):
    (only,) = found(groups).values()
    return only


WHOLE = {"first.weight:0", "last.weight:1"}
MOVE_TOGETHER = {
    "activation": lambda self, x: functional.gelu(x),
    "in place": lambda self, x: x.relu_().add_(1),
    "square": lambda self, x: x * x + x.abs().sqrt() * 2,
    "comparison": lambda self, x: torch.where(x > 0, x, torch.zeros_like(x)),
    "softmax": lambda self, x: x.softmax(-1),
    "mean removed": lambda self, x: x - x.mean(-1, keepdim=True),
    "variance": lambda self, x: x / x.var(-1, keepdim=True).add(1).sqrt(),
    "norm": lambda self, x: functional.normalize(x, dim=-1),
    "max": lambda self, x: x - x.max(dim=1, keepdim=True).values,
    "tokens mixed": lambda self, x: x.cumsum(1).flip(1),
    "shifted tokens": lambda self, x: x.roll(1, 1) + functional.pad(x, (0, 0, 1, 0))[:, :-1],
    "half of the tokens": lambda self, x: x[:, :2],
    "one token": lambda self, x: x[:, 0],
    "every other token": lambda self, x: x[:, ::2],
    "tokens by number": lambda self, x: x[:, torch.tensor([3, 0])],
    "one by number in each": lambda self, x: x[torch.arange(2), torch.tensor([3, 0])],
    "gathered": lambda self, x: x.gather(1, torch.tensor([1, 0]).view(2, 1, 1).expand(-1, -1, WIDTH)),
    "index_select": lambda self, x: x.index_select(1, torch.tensor([1, 1])),
    "reshaped and back": lambda self, x: x.reshape(10, WIDTH).view(2, 5, WIDTH),
    "moved": lambda self, x: x.movedim(2, 0).relu().movedim(0, 2),
    "einsum": lambda self, x: torch.einsum("bsd,btd->bst", x, x) @ x,
    "stacked": lambda self, x: torch.stack([x, x.relu()], 1).sum(1),
    "dropout": lambda self, x: functional.dropout(x, 0.5, self.training),
    "clamped": lambda self, x: x.clamp(-1, 1),
    "masked": lambda self, x: x.masked_fill(torch.ones(5, 1, dtype=torch.bool).tril(-2), 0.0),
    "unbound": lambda self, x: sum(x.unbind(1)),
    "repeated and averaged": lambda self, x: x.repeat(1, 2, 1).repeat_interleave(2, dim=1).mean(1),
    "one-dimensional pooling": lambda self, x: functional.max_pool1d(x.mT, 2).mT,
    "with an empty piece": lambda self, x: torch.cat([x[..., :WIDTH].relu(), x[..., WIDTH:].cos()], -1),
    "outer product": lambda self, x: torch.einsum("bsd,bst->btd", x, x @ x.mT),
}


@pytest.mark.parametrize("name", MOVE_TOGETHER)
def test_all_units_move(name):
    assert one_group(derived(Between(MOVE_TOGETHER[name]).eval())) == WHOLE


STAY = {
    "sorted": lambda self, x: x.sort(-1).values,
    "summed up": lambda self, x: x.cumsum(-1),
    "rolled": lambda self, x: x.roll(1, -1),
    "convolved along units": lambda self, x: functional.conv1d(x, torch.ones(5, 5, 3), padding=1),
    "weighted by position": lambda self, x: x * torch.arange(1, WIDTH + 1),
    "pooled over units": lambda self, x: functional.avg_pool1d(x, 3, 1, 1),
    "fft": lambda self, x: torch.fft.rfft(x, dim=-1, n=2 * WIDTH - 2).abs(),
    "histogram": lambda self, x: x + torch.renorm(x, 2, 0, 1.0),
}


@pytest.mark.parametrize("name", STAY)
def test_units_stay(name):
    groups = derived(Between(STAY[name]).eval())
    assert not groups.groups
    assert "first.weight:0" in groups.pinned
    assert "last.weight:1" in groups.pinned


def test_an_unknown_operation_is_named_with_its_module():
    class Odd(nn.Module):
        def forward(self, x):
            return x + torch.renorm(x, 2, 0, 1.0)

    groups = derived(Between(lambda self, x: self.odd(x), odd=Odd()))
    reason = "aten.renorm in odd is not known to treat units alike"
    assert groups.pinned["first.weight:0"] == groups.pinned["last.weight:1"] == reason


def test_halves_that_gate_each_other_move_together():
    groups = derived(Between(lambda self, x: functional.glu(x), wide=6))
    assert one_group(groups) == {"first.weight:0", "first.weight:0@6[6]/0", "last.weight:1"}


def test_unequal_pieces_move_by_themselves():
    def swapped(self, x):
        short, long = x.split([4, 8], -1)
        return torch.cat([long, short.relu()], -1)

    groups = derived(Between(swapped))
    pieces = [{"first.weight:0", "last.weight:1@8[4]/0"}, {"first.weight:0@4[8]/0", "last.weight:1"}]
    assert list(found(groups).values()) == pieces


def test_channels_padded_with_zeros_move_as_a_piece():
    groups = derived(Between(lambda self, x: functional.pad(x, (2, 3)), wide=WIDTH + 5))
    assert {"first.weight:0", "last.weight:1@2[12]/0"} in found(groups).values()


def test_padding_in_a_shortcut_ties_a_part_of_the_channels():
    def shortcut(self, x):
        return functional.pad(x, (0, 12)) + self.longer(x)

    groups = derived(Between(shortcut, wide=24, longer=nn.Linear(WIDTH, 24)))
    tied = {"first.weight:0", "longer.weight:1", "longer.weight:0", "last.weight:1"}
    assert list(found(groups).values()) == [tied, {"longer.weight:0@12[12]/0", "last.weight:1@12[12]/0"}]


def test_group_norm_moves_groups_and_units_within_them():
    module = Between(lambda self, x: self.norm(x.mT).mT, norm=nn.GroupNorm(3, WIDTH))
    groups = derived(module)
    shapes = {name: (group.size, group.parent) for name, group in groups.groups.items()}
    assert sorted(shapes.values(), key=str) == [(3, None), (4, next(iter(shapes)))]
    assert "norm.weight:0[3,4]/0" in found(groups)[next(iter(shapes))]


def test_gains_that_all_heads_share_forbid_an_order_for_each():
    def scaled(self, x):
        return (x.view(2, 5, 3, 4) * self.gain).flatten(2)

    module = Between(scaled, gain=nn.Parameter(torch.ones(4)))
    groups = derived(module)
    assert {group.parent for group in groups.groups.values()} == {None}
    assert {group.size for group in groups.groups.values()} == {3, 4}


def test_gains_of_each_head_leave_an_order_for_each():
    def scaled(self, x):
        return (x.view(2, 5, 3, 4) * self.gain.view(3, 4)).flatten(2).relu()

    groups = derived(Between(scaled, gain=nn.Parameter(torch.ones(12))))
    (within,) = [group for group in groups.groups.values() if group.parent]
    assert within.size == 4
    assert "gain:0[3,4]/1" in {str(member) for member in within.members}


def test_convolutions_of_all_kinds():
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.PReLU(8),
        nn.Conv2d(8, 16, 3, groups=8),
        nn.BatchNorm2d(16),
        nn.ConvTranspose2d(16, 8, 2, groups=2),
        nn.Upsample(scale_factor=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    ).eval()
    groups = derived(module, torch.randn(2, 3, 8, 8))
    moved = {member.tensor for group in groups.groups.values() for member in group.members}
    assert set(places(module)) - moved == {"8.bias"}


def test_channels_survive_being_laid_out_with_their_places():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 3))
    assert one_group(derived(module, torch.randn(2, 3, 8, 8))) == {"0.weight:0", "2.weight:1[8,36]/0"}


def test_torch_transformers_with_their_fast_path():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = nn.Sequential(nn.Linear(6, 8), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)).eval()
    module.append(nn.Linear(8, 3))
    kinds = sorted(group.kind for group in derived(module, torch.randn(2, 5, 6)).groups.values())
    assert kinds == ["heads"] * 2 + ["mlp"] * 2 + ["residual"] + ["within-heads"] * 4


def test_attention_over_learned_queries_and_causal_masks():
    class Pool(nn.Module):
        def __init__(self):
            super().__init__()
            self.queries = nn.Parameter(torch.randn(7, 8))
            self.keys, self.values, self.out = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            queries, keys, values = self.queries.expand(2, -1, -1), self.keys(x), self.values(x)
            found = functional.scaled_dot_product_attention(queries, keys, values)
            return self.out(found.amax(1))

    groups = derived(Pool())
    assert {frozenset(one) for one in found(groups).values()} == {
        frozenset({"queries:0"}),
        frozenset({"queries:1", "keys.weight:0"}),
        frozenset({"values.weight:0", "out.weight:1"}),
    }


def test_grouped_queries_as_one_operation():
    class Grouped(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.kv, self.out = nn.Linear(6, 16), nn.Linear(6, 16), nn.Linear(16, 3)

        def forward(self, x):
            q = self.q(x).view(2, 5, 4, 4).transpose(1, 2)
            k, v = self.kv(x).view(2, 5, 2, 2, 4).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            return self.out(mixed.transpose(1, 2).flatten(2))

    groups = derived(Grouped())
    assert {name: (group.size, group.parent) for name, group in groups.groups.items()} == {
        "heads.0": (2, None),
        "heads.0.queries": (2, "heads.0"),
        "heads.0.qk": (4, "heads.0"),
        "heads.0.vo": (4, "heads.0"),
    }


def test_parameters_that_are_not_used_or_not_in_the_checkpoint_stay():
    module = Between(lambda self, x: x * self.gain, gain=nn.Parameter(torch.ones(WIDTH)), spare=nn.Linear(2, 4))
    known = places(module)
    del known["gain"]
    groups = derive_groups(module, known, (torch.randn(2, 6),))
    assert not groups.groups
    assert groups.pinned["first.weight:0"] == "in a parameter that no single tensor of the checkpoint is"
    assert groups.pinned["spare.weight:0"] == "no part of what was traced"


def test_constants_of_the_code_and_buffers_pin():
    module = Between(lambda self, x: x + self.shift)
    module.register_buffer("shift", torch.randn(WIDTH))
    groups = derived(module)
    assert groups.pinned["first.weight:0"] == "the buffer 'shift'"
    assert not groups.groups


def test_a_square_layer_within_a_residual_stream_is_one_group_on_two_axes():
    module = Between(lambda self, x: x + self.square(x), square=nn.Linear(WIDTH, WIDTH))
    (group,) = derived(module).groups.values()
    assert {"square.weight:0", "square.weight:1"} <= {str(member) for member in group.members}
    assert group.kind == "residual"


def test_a_model_that_cannot_be_traced_says_where_it_broke():
    def branching(self, x):
        return x.relu() if x.sum() > 0 else x

    place = r"\(test_derive_operations\.py, line \d+: .*\)"
    with pytest.raises(MergeError, match=rf"cannot be traced {place}.*--groups FILE"):
        derive_groups(Between(branching), {}, (torch.randn(2, 6),))


def test_a_shape_that_depends_on_data_is_refused():
    with pytest.raises(MergeError, match="--groups FILE"):
        derive_groups(Between(lambda self, x: x[x.sum(-1) > 0]), {}, (torch.randn(2, 6),))


def test_the_module_stays_as_it_was():
    module = Between(lambda self, x: x.relu()).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    derive_groups(module, places(module), (torch.randn(2, 6),))
    assert module.training
    assert torch.backends.mha.get_fastpath_enabled()
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
