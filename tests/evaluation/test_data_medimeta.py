"""MedIMeta's own folders."""

from __future__ import annotations

import numpy as np
import pytest
from medical_files import NOVEL, info, pixels, write_medimeta

from merge.errors import MergeError, UsageError
from merge.evaluation.data import load_images
from merge.evaluation.data_source import read_data_source
from merge.evaluation.image_format import ImageFormat
from merge.section import parse_section


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MERGE_MEDIMETA_ROOT", str(tmp_path))
    return tmp_path


def source(text, more=""):
    return read_data_source(parse_section(f"data: {{path: '{text}'{more}}}", "bench.yaml"), None)


@pytest.mark.parametrize("name", NOVEL)
@pytest.mark.parametrize("with_task", [False, True])
def test_a_split_has_its_images_and_their_classes(root, name, with_task):
    write_medimeta(root, name)
    task, classes, channels = NOVEL[name]
    images = load_images(source(f"medimeta:{name}/{task}" if with_task else f"medimeta:{name}"))
    labels = np.arange(20) // 2 % len(classes)
    assert images.labels.tolist() == labels[1::2].tolist()
    assert images.classes == classes
    assert images.notes == (f"the data is MedIMeta's {name}, task '{task}'",)
    found = images.pixels(range(10), ImageFormat(3 if channels else 1, (8, 8)))
    expected = pixels(5, labels, channels)[1::2]
    np.testing.assert_array_equal(found, np.moveaxis(expected, 3, 1) if channels else expected[:, None])


def test_lines_of_a_split_may_be_in_any_order(root):
    write_medimeta(root, "bus")
    (root / "bus" / "splits" / "test.txt").write_text("images/000007.tiff\nimages/000001.tiff\n\n")
    assert load_images(source("medimeta:bus")).labels.tolist() == [0, 0]  # images 1 and 7: 0 // 1 and 3 mod 3


def test_without_the_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("MERGE_MEDIMETA_ROOT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    write_medimeta(tmp_path / ".medimeta", "oct")
    assert len(load_images(source("medimeta:oct", ", split: train"))) == 10


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("medimeta:fundsu", "", "no MedIMeta set 'fundsu' in .*did you mean 'fundus'"),
        ("medimeta:", "", "no MedIMeta set ''.*unpack it there; MERGE_MEDIMETA_ROOT names another folder"),
        ("medimeta:fundus/disease", "", "fundus has no task 'disease' .*did you mean 'disease labels'"),
        ("medimeta:fundus/disease labels", "", "gives an image any number of labels, not one class"),
        ("medimeta:fundus", ", split: tset", "fundus has no split 'tset'.*did you mean 'test'"),
        ("medimeta:fundus", ", images: x", "'images' means nothing for data in the form 'medimeta'"),
    ],
)
def test_refusals(root, text, more, message):
    write_medimeta(root, "fundus")
    with pytest.raises(UsageError, match=message) as refusal:
        load_images(source(text, more))
    assert str(refusal.value).startswith("bench.yaml:1:")


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("info.yaml", "id: oct\n", "oct/info.yaml lists no tasks"),
        ("info.yaml", "- a\n", "oct/info.yaml:1:1: a mapping of keys to values is expected"),
        ("info.yaml", info("oct", "disease", ["CNV"]).replace("0: CNV", "1: CNV"), "are not numbered from 0"),
        ("info.yaml", info("oct", "disease", ["CNV", "DME"]), "has the label 3, but names 2 classes"),
        ("splits/test.txt", "images/a.tiff", "oct/splits/test.txt is no list of images"),
        ("splits/test.txt", "images/000099.tiff\nimages/000001.tiff", "has the image 99, but there are 20 labels"),
        ("task_labels/disease.npy", "nothing", "cannot read the labels of the task 'disease'"),
    ],
)
def test_broken_sets(root, path, content, message):
    write_medimeta(root, "oct")
    (root / "oct" / path).write_text(content)
    with pytest.raises(UsageError, match=message):
        load_images(source("medimeta:oct"))


def test_an_image_that_is_not_there_is_named(root):
    write_medimeta(root, "oct")
    (root / "oct" / "images" / "000001.tiff").unlink()
    images = load_images(source("medimeta:oct"))
    with pytest.raises(MergeError, match=r"images.000001\.tiff: the image cannot be read"):
        images.pixels(range(2), ImageFormat(3, (8, 8)))
