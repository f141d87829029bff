"""Image corruptions: small cases computed by hand, and statistics of the noise."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from merge.evaluation.corruptions import corrupt


def flat(value, *, size=8, channels=1, dtype=np.uint8):
    return np.full((1, channels, size, size), value, dtype)


class TestByHand:
    def test_brightness_adds_to_the_largest_channel(self):
        image = np.broadcast_to(np.array([0.4, 0.2, 0.0]).reshape(1, 3, 1, 1), (1, 3, 8, 8))
        result = corrupt(image, "brightness", 2, seed=0)  # 0.4 ▸ 0.5, the others in proportion
        np.testing.assert_allclose(result[0, :, 0, 0], [0.5, 0.25, 0.0])

    def test_brightness_of_grey_black_and_white(self):
        results = [corrupt(flat(value), "brightness", 5, seed=0)[0, 0, 0, 0] for value in (0, 100, 255)]
        assert results == [76, 176, 255]  # 0.3 * 255 = 76.5, cut off

    def test_contrast_of_two_levels(self):
        image = flat(0.2, dtype=np.float64)
        image[..., :4] = 0.6
        result = corrupt(image, "contrast", 2, seed=0)  # mean 0.4, half the distance from it
        np.testing.assert_allclose(result[0, 0, 0, [0, 7]], [0.5, 0.3])

    def test_saturate(self):
        image = np.broadcast_to(np.array([0.8, 0.6, 0.4]).reshape(1, 3, 1, 1), (1, 3, 8, 8))
        pixels = [corrupt(image, "saturate", severity, seed=0)[0, :, 0, 0] for severity in (1, 3, 5)]
        # Saturation 0.5 ▸ 0.15, 0.75 and 1: what the lowest channel is below the value, relative to the value.
        np.testing.assert_allclose(pixels, [[0.8, 0.74, 0.68], [0.8, 0.5, 0.2], [0.8, 0.4, 0.0]], atol=1e-12)

    def test_saturate_gives_grey_a_red_hue_and_leaves_one_channel(self):
        result = corrupt(flat(0.5, channels=3, dtype=np.float64), "saturate", 5, seed=0)
        np.testing.assert_allclose(result[0, :, 0, 0], [0.5, 0.4, 0.4])
        assert corrupt(flat(100), "saturate", 5, seed=0).tolist() == flat(100).tolist()

    def test_pixelate_averages_blocks(self):
        image = np.random.default_rng(0).integers(0, 256, (1, 1, 64, 64), np.uint8)
        blocks = image.reshape(1, 1, 32, 2, 32, 2).mean((3, 5))
        result = corrupt(image, "pixelate", 5, seed=0)  # half the pixels along each side
        np.testing.assert_allclose(result[..., ::2, ::2], blocks, atol=1)  # Pillow rounds once along each side
        np.testing.assert_array_equal(result, result[..., ::2, ::2].repeat(2, -1).repeat(2, -2))

    def test_motion_blur_keeps_a_flat_image_to_the_level(self):
        assert corrupt(flat(77, size=9), "motion_blur", 5, seed=0).tolist() == flat(77, size=9).tolist()

    def test_blurs_keep_a_flat_image(self):
        for name in ("gaussian_blur", "defocus_blur", "zoom_blur", "elastic_transform", "glass_blur"):
            result = corrupt(flat(0.5, size=64, dtype=np.float64), name, 5, seed=0)
            # glass_blur cuts off to 127 of 255 levels.
            np.testing.assert_allclose(result, 127 / 255 if name == "glass_blur" else 0.5, atol=1e-9)

    def test_defocus_blur_of_a_dot_is_a_disk(self):
        dot = flat(0.0, size=224, dtype=np.float64)
        dot[..., 112, 112] = 1
        result = corrupt(dot, "defocus_blur", 1, seed=0)[0, 0]
        # Within 3 pixels of a grid point there are 29; a rim of deviation 0.1 leaves them as they are.
        assert np.count_nonzero(result > 1e-9) == 29
        assert result.max() == pytest.approx(1 / 29)
        assert result[112, 115] == result[115, 112] == pytest.approx(1 / 29)

    def test_glass_blur_only_shows_pixels_that_are_near(self):
        ramp = np.broadcast_to(np.arange(32) / 64, (1, 1, 32, 32))
        shift = np.abs(corrupt(ramp, "glass_blur", 1, seed=0) - ramp) * 64
        # A pixel at most; what a neighbour shows by then may be another pixel on.
        assert 0.3 < shift.mean() < 1.5
        assert shift.max() < 4

    def test_fog_is_grey_and_never_brighter_than_the_image(self):
        image = np.random.default_rng(0).random((1, 3, 32, 32)) * 0.4
        image[0, 0, 0, 0] = 0.5
        result = corrupt(image, "fog", 5, seed=0)  # thickness 1.5: all is scaled by 0.5 / (0.5 + 1.5)
        np.testing.assert_allclose(result[:, 0] - result[:, 1], (image[:, 0] - image[:, 1]) / 4, atol=1e-12)
        fog = result - image / 4
        assert fog.min() == pytest.approx(0)
        assert fog.max() == pytest.approx(1.5 / 4)

    def test_jpeg_is_what_pillow_makes(self):
        levels = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), np.uint8)
        stored = BytesIO()
        Image.fromarray(levels[0].transpose(1, 2, 0)).save(stored, "JPEG", quality=80)
        expected = np.asarray(Image.open(stored)).transpose(2, 0, 1)
        np.testing.assert_array_equal(corrupt(levels, "jpeg_compression", 1, seed=0)[0], expected)


class TestStatistics:
    """At 224 pixels, severity 1; 50176 draws, so a deviation is known to about 0.3 %."""

    def test_gaussian_noise(self):
        noise = corrupt(flat(0.5, size=224, dtype=np.float64), "gaussian_noise", 1, seed=0) - 0.5
        assert abs(noise.mean()) < 4 * 0.08 / 224
        assert noise.std() == pytest.approx(0.08, rel=0.02)

    def test_speckle_noise_grows_with_the_brightness(self):
        deviations = [
            corrupt(flat(v, size=224, dtype=np.float64), "speckle_noise", 1, seed=0).std() for v in (0.2, 0.4)
        ]
        assert deviations == pytest.approx([0.03, 0.06], rel=0.02)

    def test_shot_noise_is_poisson(self):
        counts = 60 * corrupt(flat(0.4, size=224, dtype=np.float64), "shot_noise", 1, seed=0)
        np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
        assert counts.mean() == pytest.approx(24, rel=0.01)
        assert counts.var() == pytest.approx(24, rel=0.05)

    def test_impulse_noise_is_black_and_white_alike(self):
        result = corrupt(flat(0.5, size=224, dtype=np.float64), "impulse_noise", 5, seed=0)
        shares = [(result == value).mean() for value in (0, 0.5, 1)]
        assert shares == pytest.approx([0.135, 0.73, 0.135], abs=0.01)
        assert np.unique(result).tolist() == [0, 0.5, 1]
