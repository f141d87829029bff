"""Which items are drawn, what is recorded of them, and mixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation.tiny_language_models import make_llama, save
from evaluation.tiny_models import example_arrays, make_classifier, make_clip_config
from safetensors.torch import save_file

from merge.calibration.data import read_data
from merge.calibration.feeds import sample_from_tensors, subject_from_module
from merge.calibration.feeds.drawing import Drawing
from merge.errors import MergeError, UsageError
from merge.evaluation.locate import locate
from merge.evaluation.task import Settings


@pytest.fixture
def vit(here: Path) -> Any:
    make_classifier(0).save_pretrained(here / "vit")
    return locate("vit").load()


@pytest.fixture
def arrays(here: Path) -> Iterator[None]:
    """Two files of images, ``one.npz`` and ``two.npz``: each pixel is the item's number, 100 more in the second."""
    for name, first in (("one", 0), ("two", 100)):
        images = np.full((20, 8, 8), 0, np.uint8) + np.arange(first, first + 20, dtype=np.uint8)[:, None, None]
        np.savez(here / f"{name}.npz", images=images, labels=np.arange(20) % 3)
    return


def items(sample: Any, size: int = 7, first: int = 0) -> list[int]:
    """The numbers of the items in the order of the sample."""
    batches = sample.batches(size, first)
    return [round(float(pixels[0, 0, 0]) * 255) for batch in batches for pixels in batch.inputs["pixels"]]


def sample_of(model: Any, spec: str, count: int, draw: str = "random", seed: int = 0) -> Any:
    data, settings = read_data(spec), Settings(seed=seed)
    return data.sample(data.subject(model, settings), count, draw, settings)


@pytest.mark.usefixtures("arrays")
def test_draws(vit: Any) -> None:
    assert items(sample_of(vit, "one.npz", 5, "first")) == [0, 1, 2, 3, 4]
    drawn = items(sample_of(vit, "one.npz", 8))
    assert len(set(drawn)) == 8
    assert drawn == items(sample_of(vit, "one.npz", 8))
    assert drawn[:5] == items(sample_of(vit, "one.npz", 5))
    assert drawn != items(sample_of(vit, "one.npz", 8, seed=1))
    assert drawn != [item - 100 for item in items(sample_of(vit, "two.npz", 8))]
    assert drawn != sorted(drawn)


def test_a_draw_is_the_same_everywhere() -> None:
    """The numbers are part of what a seed means: statistics are compared across machines."""
    assert Drawing(6, "random", 0).items(100, "digits").tolist() == EXPECTED


EXPECTED = [18, 36, 2, 1, 11, 51]


@pytest.mark.usefixtures("arrays")
def test_global_generators_are_left_alone(vit: Any) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    items(sample_of(vit, "one.npz", 5))
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()


@pytest.mark.usefixtures("arrays")
def test_what_is_recorded(vit: Any) -> None:
    about = dict(sample_of(vit, "one.npz", 30, seed=3).about)
    digest = about.pop("digest")
    assert len(digest) == 32
    assert about == {
        "name": "one",
        "split": "train",
        "number": 20,
        "total": 20,
        "draw": "random",
        "seed": 3,
        "normalize": {"mean": [0.0], "std": [1.0]},
        "notes": ["all 20 items were used: 30 were asked for"],
    }
    assert digest == sample_of(vit, "one.npz", 30, seed=3).about["digest"]
    assert digest != sample_of(vit, "one.npz", 30, seed=4).about["digest"]  # another order
    assert digest != sample_of(vit, "two.npz", 30, seed=3).about["digest"]


@pytest.mark.usefixtures("arrays")
def test_a_mixture_has_as_many_of_each(vit: Any) -> None:
    mixture = sample_of(vit, "one.npz,two.npz", 9, "first")
    assert len(mixture) == 8
    assert items(mixture, 3) == [0, 1, 2, 3, 100, 101, 102, 103]
    assert items(mixture, 3, 5) == [101, 102, 103]
    assert [len(batch) for batch in mixture.batches(3)] == [3, 1, 3, 1]
    assert mixture.about["name"] == "one,two"
    assert [part["name"] for part in mixture.about["parts"]] == ["one", "two"]
    assert mixture.about["number"] == 8
    with pytest.raises(UsageError, match="1 samples are too few for a mixture of 2"):
        sample_of(vit, "one.npz,two.npz", 1)


@pytest.mark.usefixtures("arrays")
def test_a_mixture_has_labels_if_all_of_its_parts_have(vit: Any, here: Path) -> None:
    np.savez(here / "three.npz", images=example_arrays()["images"])
    assert all(batch.labels is not None for batch in sample_of(vit, "one.npz,two.npz", 8).batches(4))
    assert all(batch.labels is None for batch in sample_of(vit, "one.npz,three.npz", 8).batches(4))


@pytest.mark.usefixtures("arrays")
def test_different_heads_of_a_mixture_leave_a_tower_without_one(here: Path) -> None:
    from transformers import CLIPVisionModelWithProjection

    CLIPVisionModelWithProjection(make_clip_config()).save_pretrained(here / "tower")
    save_file({"a": torch.randn(3, 4), "b": torch.randn(3, 4)}, here / "heads.st")
    for name, head in (("one", "a"), ("two", "b"), ("again", "a")):
        text = f"kind: classification\ndata: {{path: two.npz}}\nhead: heads.st#{head}\n"
        (here / f"{name}.yaml").write_text(text)
    tower, settings = locate("tower").load(), Settings()
    assert read_data("one.yaml,two.yaml").subject(tower, settings).predicts == "nothing"
    assert read_data("one.yaml,again.yaml").subject(tower, settings).predicts == "classes"


@pytest.mark.usefixtures("arrays")
def test_images_and_texts_do_not_mix(vit: Any, here: Path) -> None:
    (here / "t.txt").write_text("cat")
    with pytest.raises(UsageError, match="a mixture of images and texts: 'one' is images, 't' is texts"):
        sample_of(vit, "one.npz,t.txt", 4)


@pytest.mark.usefixtures("arrays")
def test_a_subject_of_other_data_is_refused(vit: Any, here: Path) -> None:
    (here / "t.txt").write_text("cat")
    sees = read_data("one.npz").subject(vit, Settings())
    with pytest.raises(MergeError, match="reads no texts, which 't' has"):
        read_data("t.txt").sample(sees, 1, "first", Settings())
    reads = read_data("t.txt").subject(locate(str(save(make_llama(), here / "llama"))).load(), Settings())
    with pytest.raises(MergeError, match="reads no images, which 'one' has"):
        read_data("one.npz").sample(reads, 1, "first", Settings())


def test_own_module_and_tensors() -> None:
    module = torch.nn.Linear(2, 3, dtype=torch.float64)
    subject = subject_from_module("mine", module, names={"w": "weight"})
    sample = sample_from_tensors({"x": torch.ones(5, 2, dtype=torch.float64)}, labels=torch.arange(5))
    batches = list(sample.batches(2, 1))
    assert [batch.labels.tolist() for batch in batches if batch.labels is not None] == [[1, 2], [3, 4]]
    assert torch.equal(subject.logits(batches[0].inputs), module(torch.ones(2, 2, dtype=torch.float64)))
    assert subject.places()["w"] is module.weight
    with pytest.raises(MergeError, match=r"mine: Linear does not run on x \[1, 7\]"):
        subject.run({"x": torch.ones(1, 7)})
    with pytest.raises(MergeError, match="different numbers of items"):
        sample_from_tensors({"x": torch.ones(5, 2)}, labels=torch.arange(4))
