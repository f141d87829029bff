"""Arrays in, labelled images out."""

from __future__ import annotations

import numpy as np
import pytest

from merge.errors import UsageError
from merge.evaluation.data import load_digits, load_images
from merge.evaluation.data_source import DataSource


@pytest.fixture
def source(tmp_path):
    def save(split="test", **arrays):
        np.savez(tmp_path / "data.npz", **arrays)
        return DataSource(tmp_path / "data.npz", split, "images", "labels", "bench.yaml:3:7")

    return save


def test_digits_split_is_stratified_disjoint_and_fixed():
    train, test = load_digits("train"), load_digits("test")
    assert (train.images.shape, test.images.shape) == ((1257, 1, 8, 8), (540, 1, 8, 8))
    assert (test.images.min(), test.images.max()) == (0, 1)
    shares = [np.bincount(part.labels) / len(part.labels) for part in (train, test)]
    np.testing.assert_allclose(*shares, atol=0.002)
    assert {image.tobytes() for image in train.images}.isdisjoint({image.tobytes() for image in test.images})
    np.testing.assert_array_equal(load_digits("test").labels, test.labels)


def test_digits_have_two_splits():
    with pytest.raises(UsageError, match="no split 'val'"):
        load_digits("val")


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ((5, 8, 6), (5, 1, 8, 6)),
        ((5, 8, 6, 3), (5, 3, 8, 6)),
        ((5, 3, 8, 6), (5, 3, 8, 6)),
        ((5, 1, 8, 8), (5, 1, 8, 8)),
    ],
)
def test_layouts(source, stored, expected):
    images = np.zeros(stored, np.uint8)
    assert load_images(source(images=images, labels=np.zeros(5, int))).images.shape == expected


def test_channels_last_moves_the_right_axis(source):
    images = np.arange(2 * 2 * 5 * 3, dtype=np.uint8).reshape(2, 2, 5, 3)
    loaded = load_images(source(images=images, labels=np.zeros(2, int))).images
    np.testing.assert_array_equal(loaded[1, 2], images[1, :, :, 2])


def test_named_key_wins_over_the_split_form(source):
    images = np.zeros((2, 4, 4), np.uint8)
    arrays = {"test_images": images, "val_images": images + 9, "val_labels": np.array([[1], [0]], np.uint8)}
    loaded = load_images(source(split="val", **arrays))
    assert loaded.images.max() == 9
    assert loaded.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((2, 4, 4), np.uint8)}, "there are: pictures .'images' and 'labels' beside 'path' name"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "label": np.zeros(2, int)}, "did you mean 'label'?"),
        ({"images": np.zeros((3, 4, 4), np.uint8), "labels": np.zeros(2, int)}, "3 images but 2 labels"),
        ({"images": np.zeros((0, 4, 4), np.uint8), "labels": np.zeros(0, int)}, "0 images are too few"),
        ({"images": np.zeros((2, 4), np.uint8), "labels": np.zeros(2, int)}, r"shape \[2, 4\]"),
        ({"images": np.zeros((2, 7, 4, 5), np.uint8), "labels": np.zeros(2, int)}, r"shape \[2, 7, 4, 5\]"),
        ({"images": np.zeros((2, 4, 4), int), "labels": np.zeros(2, int)}, "images are int64"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros((2, 3), int)}, r"labels have shape \[2, 3\]"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros(2)}, "labels are float64"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.array([0, -1])}, "a label is -1"),
        (
            {"images": np.zeros((2, 4, 4), np.uint8), "labels": np.array([0, 2**63], np.uint64)},
            "a label is 9223372036854775808; .* up to",
        ),
        (
            {"images": np.zeros((2, 4, 4), np.uint8), "labels": np.array([2**64 - 1, 0], np.uint64)},
            "a label is 18446744073709551615; .* up to",
        ),
        pytest.param(
            {"images": np.zeros((2, 4, 4), np.longdouble), "labels": np.zeros(2, int)},
            f"images are {np.dtype(np.longdouble)}",
            marks=pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="no such type on this machine"),
        ),
        ({"images": np.zeros((2, 0, 4, 3), np.uint8), "labels": np.zeros(2, int)}, r"shape \[2, 0, 4, 3\].* no pixels"),
        ({"images": np.zeros((2, 4, 0), np.uint8), "labels": np.zeros(2, int)}, r"shape \[2, 4, 0\].* no pixels"),
        ({"images": np.array([{}, {}]), "labels": np.zeros(2, int)}, "cannot read data.npz"),
    ],
)
def test_bad_arrays(source, arrays, message):
    with pytest.raises(UsageError, match=message) as refusal:
        load_images(source(**arrays))
    assert str(refusal.value).startswith("bench.yaml:3:7: ")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_npz(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"cannot read data.npz as an npz file"):
        load_images(DataSource(tmp_path / "data.npz", "test", "images", "labels", "bench.yaml:3:7"))


def test_an_npy_file_is_not_an_npz_file(tmp_path):
    np.save(tmp_path / "data.npy", np.zeros(3))
    with pytest.raises(UsageError, match="single array"):
        load_images(DataSource(tmp_path / "data.npy", "test", "images", "labels", "bench.yaml:3:7"))
