"""Images are decoded and corrupted once, where they fit in memory; the same images come out either way."""

from __future__ import annotations

import numpy as np
import pytest
from image_files import picture, write_folder

from merge.errors import UsageError
from merge.evaluation.corruptions import corrupt
from merge.evaluation.data import cached, encoded, load_images
from merge.evaluation.data.image_set import ArrayImages
from merge.evaluation.data.shared import Shared
from merge.evaluation.data_source import Corruption, DataSource
from merge.evaluation.image_format import ImageFormat
from merge.evaluation.task import Settings

COLOUR, SMALL = ImageFormat(3, (32, 32)), ImageFormat(1, (16, 16))


@pytest.fixture
def source(tmp_path):
    write_folder(tmp_path / "test", each=3)
    return DataSource(tmp_path, "test", "images", "labels", "bench.yaml:1:1", "folder")


@pytest.fixture
def decoded(monkeypatch):
    """Count how often every image is decoded."""
    counts = []
    decode = encoded.decode
    monkeypatch.setattr(encoded, "decode", lambda *given: counts.append(given[1:3]) or decode(*given))
    return counts


def passes(images, expected, batch=4):
    parts = [images.pixels(range(first, min(first + batch, 9)), expected) for first in range(0, 9, batch)]
    return np.concatenate(parts)


def test_every_image_is_decoded_once_for_each_format(source, decoded):
    images = load_images(source)
    first = passes(images, COLOUR)
    np.testing.assert_array_equal(passes(images, COLOUR, batch=2), first)
    np.testing.assert_array_equal(images.pixels(np.array([8, 3]), COLOUR), first[[8, 3]])
    assert len(decoded) == 9
    assert passes(images, SMALL).shape == (9, 1, 16, 16)
    assert len(decoded) == 18
    assert passes(images, COLOUR).tobytes() == first.tobytes()
    assert len(decoded) == 18


def test_scattered_items_fill_the_cache_too(source, decoded):
    images = load_images(source)
    scattered = images.pixels(np.array([7, 2, 7, 2]), COLOUR)
    np.testing.assert_array_equal(scattered[0], picture(7).transpose(2, 0, 1))
    decoded.clear()
    passes(images, COLOUR)
    passes(images, COLOUR)
    assert len(decoded) == 7


@pytest.mark.parametrize(("free", "times"), [(4 * 9 * 3 * 32 * 32, 1), (4 * 9 * 3 * 32 * 32 - 1, 2)])
def test_images_are_kept_if_they_fit_in_a_quarter_of_the_free_memory(source, decoded, monkeypatch, free, times):
    monkeypatch.setattr(cached, "free_memory", lambda: free)
    images = load_images(source)
    np.testing.assert_array_equal(passes(images, COLOUR), passes(images, COLOUR))
    assert len(decoded) == 9 * times


@pytest.mark.parametrize("batch", [1, 4, 9])
def test_encoded_images_are_corrupted_at_the_model_s_size(source, batch):
    clean = passes(load_images(source), ImageFormat(3, (16, 16)))
    laid = load_images(DataSource(**vars(source) | {"corruption": Corruption("gaussian_noise", 3)}), Settings(seed=5))
    expected = corrupt(clean, "gaussian_noise", 3, seed=5)
    np.testing.assert_array_equal(passes(laid, ImageFormat(3, (16, 16)), batch), expected)
    np.testing.assert_array_equal(laid.pixels(np.array([6, 1]), ImageFormat(3, (16, 16))), expected[[6, 1]])
    assert not np.array_equal(expected, clean)


def test_scattered_corrupted_images_are_those_of_a_whole_pass(source):
    laid = load_images(DataSource(**vars(source) | {"corruption": Corruption("shot_noise", 2)}))
    scattered = laid.pixels(np.array([6, 1, 1]), COLOUR)
    again = load_images(DataSource(**vars(source) | {"corruption": Corruption("shot_noise", 2)}))
    np.testing.assert_array_equal(scattered, passes(again, COLOUR)[[6, 1, 1]])


def test_stored_arrays_are_corrupted_as_they_are_stored():
    source = DataSource(None, "test", "images", "labels", "bench.yaml:1:1", "digits", corruption=Corruption("fog", 2))
    plain = load_images(DataSource(**vars(source) | {"corruption": None}))
    expected = corrupt(plain.images[:5], "fog", 2, seed=0)
    np.testing.assert_array_equal(load_images(source).pixels(range(5), COLOUR), expected)
    assert load_images(source).classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((3, 8, 8), 2.0, np.float32), r"floats from 0 to 1; these are float32 from 2.0 to 2.0"),
        (np.zeros((3, 8, 8, 4), np.uint8), r"with 1 or 3 channels"),
        (np.zeros((3, 4, 4), np.uint8), r"4x4 pixels are too small"),
    ],
)
def test_arrays_that_cannot_be_corrupted(tmp_path, images, message):
    np.savez(tmp_path / "data.npz", images=images, labels=np.zeros(3, int))
    corruption = Corruption("contrast", 1)
    source = DataSource(tmp_path / "data.npz", "test", "images", "labels", "bench.yaml:1:1", corruption=corruption)
    with pytest.raises(UsageError, match=f"^bench.yaml:1:1: .*{message}"):
        load_images(source)


def test_images_that_are_shared_are_loaded_once_and_then_forgotten():
    loaded = []

    def load():
        loaded.append(ArrayImages(np.zeros((2, 1, 8, 8)), np.zeros(2, int)))
        return loaded[-1]

    shared = Shared(users=3)
    assert shared.get(load) is shared.get(load) is shared.get(load)
    assert len(loaded) == 1
    assert shared.get(load) is loaded[1]
    assert shared.get(load) is loaded[2]
