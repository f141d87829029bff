"""Preparation of pixels, by hand-computed numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from merge.errors import UsageError
from merge.evaluation.data.image_set import ArrayImages
from merge.evaluation.image_format import ImageFormat
from merge.evaluation.images import Normalization, batches, prepare

PLAIN = Normalization()


def test_uint8_is_scaled_then_normalized_by_channel():
    normalization = replace(PLAIN, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 2.0))
    pixels = prepare(np.full((1, 1, 2, 2), 255, np.uint8), normalization, ImageFormat(3, None))
    assert pixels.shape == (1, 3, 2, 2)
    assert pixels[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_floats_are_left_as_they_are(dtype):
    pixels = prepare(np.full((1, 1, 2, 2), 200, dtype), PLAIN, ImageFormat(1, None))
    assert pixels.unique().tolist() == [200.0]


def test_resizing_only_when_the_size_differs():
    images = np.random.default_rng(0).random((2, 1, 4, 4), dtype=np.float32)
    same = prepare(images, PLAIN, ImageFormat(1, (4, 4)))
    np.testing.assert_array_equal(same.numpy(), images)
    half = prepare(images, PLAIN, ImageFormat(1, (2, 2)))
    # With antialiasing, a half-size pixel is a triangle of 4: weights 3/7, 3/7, 1/7 at the border.
    weights = np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7
    np.testing.assert_allclose(half[0, 0].numpy(), weights @ images[0, 0] @ weights.T, rtol=1e-5)


def test_batches_cover_everything_once():
    images = np.arange(7, dtype=np.float32).reshape(7, 1, 1, 1)
    parts = list(batches(ArrayImages(images, np.zeros(7, int)), PLAIN, ImageFormat(1, None), batch_size=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [float(value) for part in parts for value in part.flatten()] == list(range(7))


@pytest.mark.parametrize(
    ("channels", "mean", "message"),
    [(4, (0.0,), "images have 4 channels, the model takes 3"), (3, (0.0, 0.0), "'normalize' has 2 channels")],
)
def test_channels_that_do_not_fit(channels, mean, message):
    with pytest.raises(UsageError, match=message):
        prepare(np.zeros((1, channels, 2, 2), np.uint8), replace(PLAIN, mean=mean), ImageFormat(3, None))
