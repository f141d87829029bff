"""What a family of models is to these tests: how one is made, loaded and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SPREAD = 0.02  # of a fine-tune's task vector
Inputs = Mapping[str, torch.Tensor]


def text(length: int = 6) -> Inputs:
    """Return one row of token numbers from 3 on, which are special in no family."""
    return {"input_ids": torch.arange(3, 3 + length)[None], "attention_mask": torch.ones(1, length, dtype=torch.long)}


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        make: Returns a model of so many layers, with weights of transformers' own making.
        loader: The class of transformers that opens a folder.
        inputs: What such a model takes.
        generates: Whether it continues its inputs; otherwise it is called once.
        tied: Whether its input and output embeddings are one tensor.
    """

    make: Callable[[int], Any]
    loader: str = "AutoModelForCausalLM"
    inputs: Callable[[], Inputs] = text
    generates: bool = True
    tied: bool = False

    def load(self, folder: Path) -> Any:
        """Return the model of a folder, all of whose tensors have found their place."""
        import transformers

        model, report = getattr(transformers, self.loader).from_pretrained(folder, output_loading_info=True)
        assert not any(report.values()), report
        return model.eval()

    def run(self, model: Any) -> torch.Tensor:
        """Return what a model makes of the inputs: tokens that it has written, or its first output."""
        inputs = dict(self.inputs())
        if not self.generates:
            with torch.no_grad():
                return model(**inputs)[0]
        written = model.generate(**inputs, max_new_tokens=4, min_new_tokens=4, do_sample=False, pad_token_id=0)
        assert written.shape[1] >= 4
        return written


def write(family: Family, folder: Path, layers: int) -> None:
    """Write ``base`` and its fine-tunes ``a`` and ``b``."""
    for seed, name in enumerate(("base", "a", "b")):
        torch.manual_seed(0)
        model = family.make(layers)
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters() if seed else ():
            parameter.data += SPREAD * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(folder / name)
