"""The published constants, by corruption, side of the image in pixels, and severity.

They are facts from github.com/hendrycks/robustness, ImageNet-C/create_c: make_cifar_c.py (32 pixels, CIFAR-10-C),
make_tinyimagenet_c.py (64, Tiny ImageNet-C) and make_imagenet_c.py (224, ImageNet-C).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SIDES = (32, 64, 224)
Row = tuple[float, ...]
Table = Mapping[int, Sequence[Row]]


def _single(*rows: Sequence[float]) -> Table:
    """Return the table of a corruption with one constant, from one row of five severities for each side."""
    return {side: [(value,) for value in row] for side, row in zip(SIDES, rows, strict=True)}


def _shares(side: int, rows: Sequence[Row]) -> Sequence[Row]:
    """Return pixels, from shares of a side."""
    return [tuple(side * share for share in row) for row in rows]


CONSTANTS: Mapping[str, Table] = {
    # Standard deviation, of a range of 1.
    "gaussian_noise": _single(
        (0.04, 0.06, 0.08, 0.09, 0.1), (0.04, 0.08, 0.12, 0.15, 0.18), (0.08, 0.12, 0.18, 0.26, 0.38)
    ),
    # Photons at full brightness.
    "shot_noise": _single((500, 250, 100, 75, 50), (250, 100, 50, 30, 15), (60, 25, 12, 5, 3)),
    # Share of the values replaced.
    "impulse_noise": _single(
        (0.01, 0.02, 0.03, 0.05, 0.07), (0.01, 0.02, 0.05, 0.08, 0.14), (0.03, 0.06, 0.09, 0.17, 0.27)
    ),
    # Standard deviation, relative to the value.
    "speckle_noise": _single((0.06, 0.1, 0.12, 0.16, 0.2), (0.15, 0.2, 0.25, 0.3, 0.35), (0.15, 0.2, 0.35, 0.45, 0.6)),
    # Standard deviation in pixels.
    "gaussian_blur": _single((0.4, 0.6, 0.7, 0.8, 1), (0.5, 0.75, 1, 1.25, 1.5), (1, 2, 3, 4, 6)),
    # Radius in pixels; standard deviation in pixels of the smoothing of the disk's rim.
    "defocus_blur": {
        32: [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
        64: [(0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)],
        224: [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    },
    # Standard deviation in pixels; farthest displacement in pixels; rounds.
    "glass_blur": {
        32: [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
        64: [(0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)],
        224: [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
    },
    # Radius and standard deviation in pixels.
    "motion_blur": {
        32: [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
        64: [(10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)],
        224: [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
    },
    # End (left out) and step of the range of zoom factors, which begins at 1.
    "zoom_blur": {
        32: [(1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)],
        64: [(1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)],
        224: [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)],
    },
    # Mean and deviation of the flakes' brightness; their size in pixels; the least brightness; radius and standard
    # deviation in pixels of their motion; share of the image that is not whitened.
    "snow": {
        32: [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ],
        64: [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ],
        224: [
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ],
    },
    # Thickness; decay of the fog's roughness from one scale to the next finer one.
    "fog": {
        32: [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
        64: [(0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)],
        224: [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
    },
    # What is added to the value (the V of HSV).
    "brightness": _single((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5)),
    # What the distance from the mean is multiplied by.
    "contrast": _single((0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05), (0.4, 0.3, 0.2, 0.1, 0.05)),
    # Factor and summand of the saturation (the S of HSV).
    "saturate": {
        32: [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)],
        64: [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)],
        224: [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)],
    },
    # Factor of the displacements, their smoothing, and the farthest a corner is pulled; in pixels, published as shares
    # of the side (244 is the authors' own slip for 224, and part of the data that they published).
    "elastic_transform": {
        32: _shares(32, [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)]),
        64: _shares(64, [(0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03), (0.16, 0.03, 0.02)]),
        224: _shares(244, [(2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)]),
    },
    # Share of the pixels that is kept along each side.
    "pixelate": _single((0.95, 0.9, 0.85, 0.75, 0.65), (0.9, 0.8, 0.7, 0.6, 0.5), (0.6, 0.5, 0.4, 0.3, 0.25)),
    # Quality, of 100.
    "jpeg_compression": _single((80, 65, 58, 50, 40), (65, 58, 50, 40, 25), (25, 18, 15, 10, 7)),
}
