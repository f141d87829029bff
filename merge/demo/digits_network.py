"""A network for handwritten digits of 8 x 8 pixels, whose hidden units may stand in any order."""

import torch
from torch import Tensor, nn


class DigitsNetwork(nn.Module):
    """Three hidden layers of 512 units; made without arguments, for ``--model model.py:DigitsNetwork``."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 512)
        self.second = nn.Linear(512, 512)
        self.third = nn.Linear(512, 512)
        self.head = nn.Linear(512, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits [n, 10] of flattened images [n, 64] with values from 0 to 1."""
        hidden = torch.relu(self.first(pixels))
        hidden = torch.relu(self.second(hidden))
        hidden = torch.relu(self.third(hidden))
        logits: Tensor = self.head(hidden)
        return logits

    def example_inputs(self) -> tuple[Tensor]:
        """Return inputs that the network takes, from which its structure is traced."""
        return (torch.zeros(1, 64),)
