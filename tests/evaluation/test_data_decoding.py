"""Encoded images ▸ pixels, against the programs that CLIP models are evaluated with."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from image_files import BROKEN, encoded, picture
from PIL import Image

from merge.evaluation.data.decoding import BrokenImage, check, decode
from merge.evaluation.resizing import Resizing

SHAPES = [(32, 32, 3), (40, 32, 3), (32, 57, 3), (17, 90, 3), (71, 33, 3), (20, 20, 3), (224, 224, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [16, 24, 33])
def test_pixels_are_those_of_open_clip(shape, side):
    from open_clip import image_transform

    data = encoded(picture(1, shape))
    transform = image_transform(side, is_train=False, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    theirs = (transform(Image.open(io.BytesIO(data))) * 255).round().to(torch.uint8)
    np.testing.assert_array_equal(decode(data, 3, (side, side), Resizing()), theirs.numpy())


def test_pixels_are_those_of_torchvision_with_a_smaller_crop():
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    picture_ = Image.fromarray(picture(2, (60, 91, 3)))
    theirs = Compose([Resize(36, InterpolationMode.BILINEAR), CenterCrop(32)])(picture_)
    ours = decode(encoded(np.asarray(picture_)), 3, (32, 32), Resizing("bilinear", 32 / 36))
    np.testing.assert_array_equal(ours, np.asarray(theirs).transpose(2, 0, 1))


def test_a_frame_that_is_not_square_is_covered():
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30] = 200
    ours = decode(encoded(pixels), 3, (20, 20), Resizing())
    assert ours.shape == (3, 20, 20)
    assert ours.min() == 200  # the middle of the picture, at its own scale
    assert decode(encoded(pixels), 3, (10, 40), Resizing()).shape == (3, 10, 40)
    assert decode(encoded(picture(0, (99, 7, 3))), 3, (50, 20), Resizing()).shape == (3, 50, 20)


def test_colour_is_made_grey_and_grey_colour():
    colour, grey = picture(3), picture(4, (32, 32))
    ours = decode(encoded(colour), 1, (32, 32), Resizing())
    np.testing.assert_array_equal(ours[0], np.asarray(Image.fromarray(colour).convert("L")))
    np.testing.assert_array_equal(decode(encoded(grey), 3, (32, 32), Resizing()), np.stack([grey] * 3))


def test_other_formats_become_colour():
    rgba = picture(5, (32, 32, 4))
    np.testing.assert_array_equal(decode(encoded(rgba), 3, (32, 32), Resizing()), rgba[..., :3].transpose(2, 0, 1))
    palette = Image.fromarray(picture(6)).quantize(16)
    stream = io.BytesIO()
    palette.save(stream, "GIF")
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode(stream.getvalue(), 3, (32, 32), Resizing()), expected)
    assert decode(encoded(picture(7), "JPEG"), 3, (8, 8), Resizing()).shape == (3, 8, 8)


@pytest.mark.parametrize("data", [b"", BROKEN, encoded(picture(0))[:300], encoded(picture(0), "JPEG")[:300]])
def test_broken_bytes(data):
    with pytest.raises(BrokenImage):
        check(data)
    with pytest.raises(BrokenImage):
        decode(data, 3, (8, 8), Resizing())


def test_sixteen_bits_are_not_squeezed_into_eight():
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    with pytest.raises(BrokenImage, match="I;16; 8 bits a channel are expected"):
        check(encoded(deep))
