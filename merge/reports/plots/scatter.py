"""Two scores of many trials against each other."""

from __future__ import annotations

from collections.abc import Sequence

from .axes import horizontal_grid, vertical_grid
from .scale import Scale, scale_over
from .svg import drawing, element, label, share

HEIGHT = 230
TOP = 24


def scatter(title: str, dots: Sequence[tuple[float, float, str, str]], axes: tuple[str, str], factor: float = 1) -> str:
    """Draw dots.

    Args:
        title: What is drawn.
        dots: Both values, style class and hint of each; at least one.
        axes: What the horizontal and the vertical values are.
        factor: Multiplies the numbers of both axes, such as 100 for percent.
    """
    across, down = (scale_over(values) for values in ([dot[0] for dot in dots], [dot[1] for dot in dots]))
    across = Scale(across.low - 0.08 * (across.high - across.low), across.high, across.ticks)
    made = [
        element(
            "circle",
            element("title", text=hint),
            cx=share(across.place(x)),
            cy=TOP + HEIGHT * (1 - down.place(y)),
            r=5,
            class_=f"dot {style}",
        )
        for x, y, style, hint in dots
    ]
    grid = [*vertical_grid(across, TOP, TOP + HEIGHT, axes[0], factor), *horizontal_grid(down, TOP, HEIGHT, factor)]
    told = "; ".join(hint for *_, hint in dots[:50])
    return drawing(title, told, TOP + HEIGHT + 36, [label(axes[1], 0, 12, "muted"), *grid, *made])
