"""Zero-shot prompt ensembling: its worked numbers, and that it runs without labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_clip import make_clip
from tiny_models import example_arrays

from merge.evaluation.locate import locate
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings
from merge.evaluation.zero_shot.embeddings import head_weight
from merge.evaluation.zero_shot.weighting import template_scores, template_weights

# templates x images x classes, and the means of pre-training images: templates x classes.
LOGITS = torch.tensor([[[0.30, 0.20], [0.25, 0.28]], [[0.40, 0.38], [0.41, 0.39]]], dtype=torch.float64)
PRETRAINING = torch.tensor([[0.22, 0.21], [0.40, 0.37]], dtype=torch.float64)


def features_with_these_logits():
    """Axes for features: the first image, the second one, and a pre-training image."""
    axes = torch.eye(3, dtype=torch.float64)
    embeddings = torch.cat([LOGITS, PRETRAINING[:, None]], dim=1).permute(2, 0, 1)
    return embeddings, axes[:2], axes[2:]


def test_worked_numbers_with_pretraining_images():
    embeddings, images, pretraining = features_with_these_logits()
    scores = template_scores(embeddings, images, pretraining)
    assert scores.tolist() == pytest.approx([0.05375, 0.0075], abs=1e-12)
    weights = template_weights(embeddings, images, pretraining)
    assert weights.tolist() == pytest.approx([0.5115604394, 0.4884395606], abs=1e-10)


def test_without_pretraining_images_the_test_mean_stands_alone():
    embeddings, images, _ = features_with_these_logits()
    means = LOGITS.mean(dim=1, keepdim=True)
    by_hand = (LOGITS - means).max(dim=2).values.mean(dim=1)
    assert template_scores(embeddings, images).tolist() == pytest.approx(by_hand.tolist(), abs=1e-12)


def test_parts_of_the_images_do_not_matter(monkeypatch):
    from merge.evaluation.zero_shot import weighting

    generator = torch.Generator().manual_seed(0)
    embeddings, images = (torch.randn(shape, generator=generator) for shape in ((3, 4, 5), (7, 5)))
    whole = template_scores(embeddings, images)
    monkeypatch.setattr(weighting, "IMAGES_AT_A_TIME", 2)
    torch.testing.assert_close(template_scores(embeddings, images), whole, rtol=1e-12, atol=0)


def test_equal_weights_are_the_mean():
    embeddings = torch.nn.functional.normalize(torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1)), dim=2)
    torch.testing.assert_close(head_weight(embeddings, torch.full((4,), 0.25)), head_weight(embeddings))


@pytest.fixture
def outcome_with(tmp_path, monkeypatch):
    monkeypatch.setenv("MERGE_CACHE", str(tmp_path / "cache"))
    make_clip(tmp_path / "clip")
    arrays = example_arrays(channels=3)

    def outcome(more="", labels=arrays["labels"]):
        np.savez(tmp_path / "data.npz", images=arrays["images"], labels=labels)
        text = "kind: zero-shot\ndata: {path: data.npz}\nclasses: [fox, crane, bee]\n"
        (tmp_path / "bench.yaml").write_text(text + "templates: ['a {}', 'the {} in a picture', '{}!']\n" + more)
        task = read_benchmark(str(tmp_path / "bench.yaml")).prepare(Settings())
        return task.evaluate(locate(str(tmp_path / "clip")).load())

    return outcome


def test_weights_come_from_the_images_and_not_from_the_labels(outcome_with):
    found = outcome_with("weights: zpe\n")
    weights = found.details["prompt_weights"]
    assert len({round(weight, 9) for weight in weights}) == 3
    assert sum(weights) == pytest.approx(1)
    shuffled = outcome_with("weights: zpe\n", labels=np.roll(example_arrays()["labels"], 1))
    np.testing.assert_array_equal(found.logits, shuffled.logits)
    assert np.abs(found.logits - outcome_with().logits).max() > 1e-6


def test_pretraining_images_change_the_weights_and_the_note(outcome_with, tmp_path):
    alone = outcome_with("weights: zpe\n")
    images = np.random.default_rng(5).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "others.npz", images=images, labels=np.zeros(6, dtype=int))
    compared = outcome_with("weights: zpe\npretraining: {path: others.npz}\n")
    assert compared.details["prompt_weights"] != alone.details["prompt_weights"]
    assert len(alone.details["notes"]) == len(compared.details["notes"]) + 1
    assert compared.details["data_use"] == alone.details["data_use"] == "unlabeled"
