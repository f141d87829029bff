"""What tells the families of diffusion models apart: widths and depths of the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Shape = tuple[int, ...]
SCALE = 64  # the largest that divides every width of every family


@dataclass(frozen=True)
class Sizes:
    """What tells one family from another; widths are those of the real models."""

    channels: tuple[int, ...]
    depths: tuple[int, ...]  # transformer layers on each level
    middle: int
    context: int
    linear: bool  # whether attentions are projected by linear layers, not by 1x1 convolutions
    added: int = 0  # width of what the time embedding is given beside
    clip: str = ""  # where ldm has CLIP-L, and OpenCLIP below
    open_clip: str = ""
    open_width: int = 0
    open_layers: int = 0
    open_component: str = "text_encoder_2"
    buffers: bool = True  # of the noise schedule


FAMILIES = {
    "sd1": Sizes((320, 640, 1280, 1280), (1, 1, 1, 0), 1, 768, False, clip="cond_stage_model."),
    "sd2": Sizes(
        (320, 640, 1280, 1280),
        (1, 1, 1, 0),
        1,
        1024,
        True,
        open_clip="cond_stage_model.",
        open_width=1024,
        open_layers=24,
        open_component="text_encoder",
    ),
    "sdxl": Sizes(
        (320, 640, 1280),
        (0, 2, 10),
        10,
        2048,
        True,
        2816,
        "conditioner.embedders.0.",
        "conditioner.embedders.1.",
        1280,
        32,
        buffers=False,
    ),
    "sdxl-refiner": Sizes(
        (384, 768, 1536, 1536),
        (0, 4, 4, 0),
        4,
        1280,
        True,
        2560,
        open_clip="conditioner.embedders.0.",
        open_width=1280,
        open_layers=32,
        buffers=False,
    ),
}
SCHEDULE = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
)


class Named(NamedTuple):
    """One tensor of the model: its name in ldm and in diffusers (None where that has none), and its shape in each."""

    ldm: str | None
    diffusers: str | None
    shape: Shape
    other: Shape | None = None  # in ldm, where that has another
