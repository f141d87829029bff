"""Image folders: classes, splits, broken files."""

from __future__ import annotations

import os

import numpy as np
import pytest
from image_files import BROKEN, picture, write_folder

from merge.errors import MergeError, UsageError
from merge.evaluation.data import load_images
from merge.evaluation.data_source import read_data_source
from merge.evaluation.image_format import ImageFormat
from merge.evaluation.task import Settings
from merge.section import parse_section

COLOUR = ImageFormat(3, (32, 32))


def source(tmp_path, more=""):
    return read_data_source(parse_section(f"data: {{path: pictures{more}}}", "bench.yaml"), tmp_path)


def load(tmp_path, more="", **settings):
    return load_images(source(tmp_path, more), Settings(**settings))


def test_classes_are_the_folders_by_name(tmp_path):
    write_folder(tmp_path / "pictures" / "test", ("dog", "bird", "cat"))
    images = load(tmp_path)
    assert (len(images), images.classes, images.labels.tolist()) == (6, ("bird", "cat", "dog"), [0, 0, 1, 1, 2, 2])
    expected = np.stack([picture(number).transpose(2, 0, 1) for number in range(6)])
    np.testing.assert_array_equal(images.pixels(range(6), COLOUR), expected)
    np.testing.assert_array_equal(images.pixels(np.array([5, 0, 5]), COLOUR), expected[[5, 0, 5]])


def test_another_split_and_a_folder_without_splits(tmp_path):
    write_folder(tmp_path / "pictures" / "val", each=1)
    write_folder(tmp_path / "pictures" / "train", each=2)
    assert len(load(tmp_path, ", split: val")) == 3
    write_folder(tmp_path / "flat" / "pictures", each=2)
    assert (source(tmp_path / "flat").split, len(load(tmp_path / "flat"))) == ("all", 6)


def test_what_is_no_image_is_not_counted(tmp_path):
    folder = write_folder(tmp_path / "pictures" / "test")
    (folder / "bird" / "notes.txt").write_text("x")
    (folder / "bird" / "._0.png").write_bytes(b"x")
    (folder / ".hidden").mkdir()
    (folder / "cat" / "0.png").rename(folder / "cat" / "0.PNG")
    assert len(load(tmp_path)) == 6


@pytest.mark.parametrize(
    ("folders", "more", "message"),
    [
        (["train/a", "val/a"], "", "has splits; name one with 'split' (there are: train, val)"),
        (["train/a", "val/a"], ", split: vall", "no split 'vall' in"),
        (["train/a", "val/a"], ", split: vall", "did you mean 'val'?"),
        (["a", "b"], ", split: test", "there are: a, b; without 'split' these are the classes"),
        (["test"], "", "no images in"),
        (["test/a", "test/b"], "", "no images in the folders for classes"),
        (["test/a", "train/a", "train/b"], "", "'test' lacks classes that 'train' has: b"),
        (["test/a"], ", images: x", "'images' means nothing for data in the form 'folder'"),
        (["test/a"], ", resize: {crop: 1.5}", "'crop' is a share of the side"),
        (["test/a"], ", resize: {interpolation: cubic}", "did you mean 'bicubic'?"),
        (["test/a"], ", size: 1.5", "'size' must be a whole number of pixels"),
        (["test/a"], ", config: x", "'config' means nothing for data in the form 'folder'"),
    ],
)
def test_refusals(tmp_path, folders, more, message):
    for folder in folders:
        (tmp_path / "pictures" / folder).mkdir(parents=True)
    with pytest.raises(UsageError) as refusal:
        load(tmp_path, more)
    assert str(refusal.value).startswith("bench.yaml:1:")
    assert message in str(refusal.value)


def test_images_without_folders_for_classes(tmp_path):
    write_folder(tmp_path, ("pictures",))
    with pytest.raises(UsageError, match="no folders for classes in"):
        load(tmp_path)


def test_a_broken_file_is_named_or_left_out_and_counted(tmp_path):
    folder = write_folder(tmp_path / "pictures" / "test")
    (folder / "cat" / "1.png").write_bytes(BROKEN)
    with pytest.raises(MergeError, match=r"^test/cat/1.png: the image cannot be read: .* \(--skip-broken"):
        load(tmp_path).pixels(range(6), COLOUR)
    images = load(tmp_path, skip_broken=True)
    assert images.labels.tolist() == [0, 0, 1, 2, 2]
    assert images.notes == ("1 of 6 images could not be read and are left out: test/cat/1.png",)
    np.testing.assert_array_equal(images.pixels(range(3, 4), COLOUR)[0], picture(4).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to("nowhere.png"), "No such file"),
        (os.mkfifo, "neither a file nor a link to one"),
    ],
)
def test_what_has_the_name_of_an_image_is_never_dropped_silently(tmp_path, make, reason):
    folder = write_folder(tmp_path / "pictures" / "test")
    make(folder / "cat" / "2.png")
    (folder / "cat" / "folder.png").mkdir()
    with pytest.raises(MergeError, match=rf"^test/cat/2.png: the image cannot be read: {reason}"):
        load(tmp_path).pixels(range(7), COLOUR)
    images = load(tmp_path, skip_broken=True)
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.notes == ("1 of 7 images could not be read and are left out: test/cat/2.png",)


def test_a_class_whose_folder_is_a_link_to_nothing(tmp_path):
    folder = write_folder(tmp_path / "pictures" / "test")
    (folder / "ape").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"'ape' in .*test is a link to nothing"):
        load(tmp_path)


def test_all_broken(tmp_path):
    folder = write_folder(tmp_path / "pictures" / "test", each=1)
    for path in folder.rglob("*.png"):
        path.write_bytes(BROKEN)
    with pytest.raises(UsageError, match="none of the 3 images can be read"):
        load(tmp_path, skip_broken=True)


def test_a_model_without_a_size_needs_one_from_the_benchmark(tmp_path):
    write_folder(tmp_path / "pictures" / "test")
    with pytest.raises(UsageError, match=r"the model states no size .* \(give 'size'"):
        load(tmp_path).pixels(range(2), ImageFormat(3, None))
    assert load(tmp_path, ", size: 16").pixels(range(2), ImageFormat(3, None)).shape == (2, 3, 16, 16)
    assert load(tmp_path, ", size: 16").shape(COLOUR) == (3, 32, 32)  # what the model states goes first
    with pytest.raises(UsageError, match="the model takes 4 channels"):
        load(tmp_path).pixels(range(2), ImageFormat(4, (32, 32)))


def test_a_model_that_states_no_channels_gets_colour(tmp_path):
    write_folder(tmp_path / "pictures" / "test")
    images = load(tmp_path, ", size: 32")
    np.testing.assert_array_equal(images.pixels(range(2), ImageFormat(None, None)), images.pixels(range(2), COLOUR))
    assert images.shape(ImageFormat(None, None)) == (3, 32, 32)


def test_the_crop_of_the_benchmark_is_taken(tmp_path):
    write_folder(tmp_path / "pictures" / "test")
    images = load(tmp_path, ", resize: {crop: 0.5, interpolation: bilinear}")
    middle = picture(0)[8:24, 8:24].transpose(2, 0, 1)
    np.testing.assert_array_equal(images.pixels(range(1), ImageFormat(3, (16, 16)))[0], middle)
