"""Which groups may be widened: what a wider network would compute otherwise is always merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from planted import groups_of, member
from running_models import (
    Attention,
    Filters,
    Perceptron,
    RunningSample,
    attention_groups,
    filters_groups,
    images,
    made,
    texts,
)
from torch import nn
from wide_models import computed
from wide_networks import Crossed, Gated, Normed, Tied, Twofold

from merge.alignment.groups import Group, Groups
from merge.errors import MergeError
from merge.partial.proving import HEADS, NESTED, SHARED_PLACE, why_not

MIDDLE = groups_of(
    Group("first", 8, (member("first.weight", 0, 8), member("first.bias", 0, 8), member("second.weight", 1, 8))),
    Group("second", 8, (member("second.weight", 0, 8), member("second.bias", 0, 8), member("head.weight", 1, 8))),
)
NORMED = groups_of(
    MIDDLE.groups["first"],
    Group("second", 8, (*MIDDLE.groups["second"].members, member("norm.weight", 0, 8))),
)


def about(make: Any, sample: RunningSample, groups: Groups | None = None) -> Mapping[str, Any]:
    return computed((made(make, 1), made(make, 2)), sample, groups=groups).facts.about


def widens(make: Any, sample: RunningSample, groups: Groups | None = None) -> list[str]:
    return list(about(make, sample, groups)["widens"])


def test_hidden_units_and_channels_widen() -> None:
    assert widens(Perceptron, images(20, 6)) == ["mlp.0", "mlp.1"]
    assert widens(Crossed, images(20, 6)) == ["mlp.0"]
    assert widens(Tied, images(20, 6)) == ["mlp.0"]
    assert widens(Gated, texts(20, 5, 11)) == ["mlp.0"]


@pytest.mark.parametrize("kind", ["layer", "rms", "softmax", "mean", "reshaped"])
def test_what_sees_all_units_at_once_does_not_widen(kind: str) -> None:
    """Even where groups claim that these are units like others."""
    groups = NORMED if kind in ("layer", "rms") else MIDDLE
    found = about(lambda: Normed(kind), images(20, 6), groups)
    assert found["widens"] == ["first"]
    assert list(found["always_merged"]) == ["second"]
    expected = "the model does not run" if kind == "reshaped" else "the model's outputs would change by"
    assert found["always_merged"]["second"].startswith(expected)


def test_the_control_widens_without_a_norm() -> None:
    assert widens(lambda: Normed("none"), images(20, 6), MIDDLE) == ["first", "second"]


def test_heads_and_what_lies_within_them_do_not_widen() -> None:
    """The residual stream of this one has no norm, so that it does."""
    found = about(Attention, texts(20, 5), attention_groups())
    assert found["widens"] == ["residual"]
    assert found["always_merged"] == {"heads": HEADS, "qk": NESTED, "vo": NESTED}


def test_channels_under_batch_norm_widen_but_not_those_of_a_grouped_convolution() -> None:
    """The depthwise convolution keeps its number of groups when other tensors are put in."""
    found = about(Filters, images(20, 3, 4, 4), filters_groups())
    assert found["widens"] == ["b"]
    assert list(found["always_merged"]) == ["a"]
    assert found["always_merged"]["a"].startswith("the model does not run: RuntimeError")


def test_a_matrix_that_is_looked_up_and_read_does_not_widen() -> None:
    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(17, 6), nn.Linear(6, 17, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, tokens: Any) -> Any:
            return self.head(self.embed(tokens).relu())

    places = (member("embed.weight", 1, 6), member("head.weight", 1, 6))
    assert widens(Language, texts(20, 5), groups_of(Group("stream", 6, places))) == []


def test_a_parameter_that_is_read_and_written_does_not_widen() -> None:
    """No stranger shows that: what is added to a model's own units would be halved."""
    places = (member("first.weight", 0, 8), member("first.bias", 0, 8), member("head.weight", 1, 8))
    units = Group("units", 8, (*places, member("place", 1, 8)))
    assert widens(Twofold, images(20, 6), groups_of(units)) == []


def test_two_groups_on_one_piece_of_an_axis_do_not_widen() -> None:
    rows = Group("rows", 4, (member("first.weight", 0, 4, 2), member("second.weight", 1, 8)))
    columns = Group("columns", 2, (member("first.weight", 0, 4, 2, factor=1),))
    other = Group("other", 8, (member("second.weight", 0, 8), member("joined", 0, 8, offset=8)))
    beside = Group("beside", 8, (member("joined", 0, 8),))
    groups = groups_of(rows, columns, other, beside)
    reasons = {name: why_not(group, groups) for name, group in groups.groups.items()}
    assert reasons == {"rows": SHARED_PLACE, "columns": SHARED_PLACE, "other": None, "beside": None}


def test_a_model_that_gives_nothing_proves_nothing() -> None:
    pair = made(Perceptron, 1), made(Perceptron, 2)
    with torch.no_grad():
        for parameter in pair[0].third.parameters():
            parameter.zero_()
    with pytest.raises(MergeError, match="outputs are zero"):
        computed(pair, images(20, 6))
