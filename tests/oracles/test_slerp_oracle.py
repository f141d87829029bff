"""SLERP against numbers worked by hand and a reference in float64."""

from __future__ import annotations

import math

import pytest
import torch
from in_memory import merge_states


def slerp(first, second, t):
    one, two = first.double().flatten(), second.double().flatten()
    cosine = torch.dot(one, two) / (one.norm() * two.norm())
    if abs(cosine) > 0.9995:
        return ((1 - t) * one + t * two).reshape(first.shape)
    angle = torch.acos(cosine)
    found = torch.sin((1 - t) * angle) / torch.sin(angle) * one + torch.sin(t * angle) / torch.sin(angle) * two
    return found.reshape(first.shape)


def merged(first, second, **options):
    return merge_states("slerp", [{"w": first}, {"w": second}], **options)["w"]


def test_a_right_angle_by_hand():
    half = math.sqrt(0.5)
    found = merged(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0]), t=0.5)
    torch.testing.assert_close(found, torch.tensor([2 * half, 4 * half]))
    third = merged(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), t=1 / 3)
    torch.testing.assert_close(third, torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)]))


def test_the_ends_are_the_models():
    torch.manual_seed(0)
    first, second = torch.randn(50), torch.randn(50)
    assert torch.equal(merged(first, second, t=0.0), first)
    assert torch.equal(merged(first, second, t=1.0), second)


@pytest.mark.parametrize("other", [2.0, -3.0, 0.0])
def test_parallel_opposite_and_zero_tensors_take_the_straight_line(other):
    first = torch.tensor([1.0, -2.0, 3.0])
    torch.testing.assert_close(merged(first, other * first, t=0.25), 0.75 * first + 0.25 * other * first)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (7, 1), (1, 7), (3, 4, 2, 2), (300, 401)], ids=str)
@pytest.mark.parametrize("t", [0.3, 0.9])
def test_against_the_reference(shape, t, dtype):
    torch.manual_seed(1)
    first, second = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
    wanted = slerp(first, second, t)
    found = merged(first, second, t=t)
    assert found.shape == first.shape
    torch.testing.assert_close(found.double(), wanted, rtol=torch.finfo(dtype).eps, atol=1e-7)


def test_lengths_of_large_tensors_are_sums_over_all_pieces():
    torch.manual_seed(2)
    first, second = torch.randn(5_000_000), torch.randn(5_000_000)
    torch.testing.assert_close(merged(first, second, t=0.4).double(), slerp(first, second, 0.4), rtol=1e-6, atol=1e-6)
