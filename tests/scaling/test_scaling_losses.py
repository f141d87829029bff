"""Losses against torch, and the changed views of images."""

from __future__ import annotations

import pytest
import torch

import merge
from merge.errors import UsageError
from merge.scaling.losses import cross_entropy, entropy, pseudo_labels
from merge.scaling.views import can_shift, shifted

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [9.0, 0.0, 0.0]])


def test_cross_entropy():
    labels = torch.tensor([0, 2, 1])
    found = cross_entropy(LOGITS, labels, "data")
    assert torch.equal(found, torch.nn.functional.cross_entropy(LOGITS, labels, reduction="none"))


def test_cross_entropy_of_tokens_leaves_out_what_is_ignored():
    logits = torch.stack([LOGITS, -LOGITS])
    labels = torch.tensor([[0, -100, 1], [-100, -100, 2]])
    found = cross_entropy(logits, labels, "data")
    wanted = torch.nn.functional.cross_entropy(logits.reshape(6, 3), labels.reshape(6), ignore_index=-100)
    assert found.shape == (3,)
    assert found.mean().item() == pytest.approx(wanted.item(), abs=1e-6)


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class(label):
    with pytest.raises(merge.MergeError, match=f"the label {label}, and the model has 3 classes"):
        cross_entropy(LOGITS, torch.tensor([0, label, 1]), "data")


def test_no_labels():
    with pytest.raises(UsageError, match="no labels"):
        cross_entropy(LOGITS, None, "data")


def test_entropy():
    wanted = torch.distributions.Categorical(logits=LOGITS).entropy()
    torch.testing.assert_close(entropy(LOGITS), wanted)
    assert entropy(LOGITS)[1].item() == pytest.approx(1.0986122887, abs=1e-6)


def test_entropy_of_tokens_counts_what_is_predicted():
    logits = torch.stack([LOGITS, LOGITS])
    labels = torch.tensor([[0, -100, 1], [-100, -100, 2]])
    assert entropy(logits, labels).shape == (3,)
    assert entropy(logits).shape == (6,)


def test_pseudo_labels_count_where_they_are_sure():
    changed = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.5, 1.0, 0.0]], requires_grad=True)
    found = pseudo_labels(LOGITS, changed, 0.99)
    wanted = torch.nn.functional.cross_entropy(changed[2:], torch.tensor([0]))
    assert found[:2].tolist() == [0, 0]
    assert found[2].item() == pytest.approx(wanted.item())
    found.sum().backward()
    assert changed.grad is not None
    assert changed.grad[:2].abs().sum() == 0


def test_pseudo_labels_have_no_gradient_of_their_own():
    sure = LOGITS.clone().requires_grad_(True)
    pseudo_labels(sure, sure, 0.0).sum().backward()
    assert sure.grad is not None
    labels = LOGITS.argmax(1)
    wanted = LOGITS.softmax(1) - torch.nn.functional.one_hot(labels, 3)
    torch.testing.assert_close(sure.grad, wanted)


def test_views_move_by_up_to_an_eighth():
    image = torch.zeros(64, 1, 16, 16)
    image[:, :, 8, 8] = 1
    moved = shifted({"pixels": image}, (0, 1))["pixels"]
    places = moved.flatten(1).argmax(1)
    rows, columns = places // 16 - 8, places % 16 - 8
    assert moved.sum() == 64
    assert sorted(set(rows.tolist())) == sorted(set(columns.tolist())) == [-2, -1, 0, 1, 2]
    assert torch.equal(moved, shifted({"pixels": image}, (0, 1))["pixels"])
    assert not torch.equal(moved, shifted({"pixels": image}, (0, 2))["pixels"])


def test_only_images_can_be_moved():
    assert can_shift({"pixels": torch.zeros(1, 1, 8, 8)})
    assert not can_shift({"pixels": torch.zeros(1, 1, 4, 4)})
    assert not can_shift({"x": torch.zeros(4, 6)})
    assert not can_shift({"a": torch.zeros(1, 1, 8, 8), "b": torch.zeros(1)})
