"""A target: one kind of file that comes from outside, what stands around it, and what reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuzz_forms import Form

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: What the tables and the corpus call it.
        file: Its path in the folder.
        form: How it is taken apart.
        make: Writes a folder in which the file is sound.
        read: Reads the folder, as a command does that is given the file; the folder is the current one.
        command: Words of a command that reads the file, too.
    """

    name: str
    file: str
    form: Form
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    command: tuple[str, ...] = ()

    def seeds(self, folder: Path) -> list[bytes]:
        """Return the sound files that cases begin with: the one in a folder that was made, and those of the corpus."""
        kept = sorted((CORPUS / self.name).glob("valid*"))
        return [(folder / self.file).read_bytes(), *(path.read_bytes() for path in kept)]

    def corpus(self) -> list[Path]:
        """Return the files that are kept for it."""
        return sorted((CORPUS / self.name).glob("*"))


@contextmanager
def within(folder: Path) -> Iterator[None]:
    """Make a folder the current one in the block, and keep the programs' own folders and the network out of it."""
    before, here = dict(os.environ), Path.cwd()
    os.environ.update({"HF_HUB_OFFLINE": "1", "MERGE_RATES": "off", "HF_HOME": str(folder.parent / "no-hub")})
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def state(seed: int = 0) -> dict[str, Tensor]:
    """Return the tensors of a small model with two layers."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed.weight": (6, 4), "layers.0.w": (4, 4), "layers.0.norm": (4,), "layers.1.w": (4, 4)}
    shapes |= {"layers.1.norm": (4,), "scale": ()}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """Write a safetensors file, and the folders above it."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, {"format": "pt", **(metadata or {})})
    return path


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def three(folder: Path) -> None:
    """Write a base and two models tuned from it: base.st, a.st and b.st."""
    for seed, name in enumerate(("base", "a", "b")):
        write(folder / f"{name}.st", state(seed))


def run(*words: str) -> None:
    """Run a command of the tool in this process."""
    import contextlib
    import io

    from merge.cli import main

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = main(list(words))
    if code:
        raise RuntimeError(f"merge {' '.join(words)}: {said.getvalue()}")
