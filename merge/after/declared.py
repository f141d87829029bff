"""The options of what follows averaging; declared here for the commands and docs."""

from __future__ import annotations

from ..options import Options, option


class ResetOptions(Options):
    """Which data statistics of activations are measured on."""

    samples: int = option(4096, "Items drawn from the data; all of them where there are fewer.", minimum=2)
    draw: str = option("random", "Which items: drawn with the seed, or the first ones.", choices=("random", "first"))
