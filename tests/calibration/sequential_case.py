"""Small networks, checkpoints of them, and data in memory, with which RegMean++ is tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from merge.calibration.declared import SequentialCalibration
from merge.calibration.feeds import sample_from_tensors, subject_from_module
from merge.calibration.sequential import Found, gather
from merge.evaluation.task import Settings


@dataclass
class Data:
    """Data in memory for networks that ``make`` makes; counts how often each block runs."""

    make: Callable[[], Any]
    inputs: Mapping[str, Any]
    forward: Callable[[Any, Mapping[str, Any]], Any] | None = None
    counted: Mapping[str, Any] | None = None
    names: Mapping[str, str] | None = None
    name: str = "tensors"
    where: str = "tensors"
    modules: list[Any] = field(default_factory=list)

    def subject(self, candidate: Any, settings: Settings) -> Any:
        module = self.make()
        names = self.names or {name: name for name in candidate.tensors}
        module.load_state_dict({names[name]: tensor for name, tensor in candidate.tensors.items()}, strict=False)
        self.modules.append(module)
        forward = (lambda inputs: self.forward(module, inputs)) if self.forward else None
        return subject_from_module(candidate.name, module, forward, self.names, "nothing")

    def sample(self, subject: Any, count: int, draw: str, settings: Settings) -> Any:
        return sample_from_tensors(self.inputs, counted=self.counted)


def save(folder: Path, models: Sequence[Any]) -> list[str]:
    """Save state dicts, and return their paths."""
    from safetensors.torch import save_file

    paths = []
    for number, model in enumerate(models):
        state = model.state_dict() if hasattr(model, "state_dict") else model
        paths.append(str(folder / f"model{number}.safetensors"))
        save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, paths[-1])
    return paths


@dataclass
class Result:
    """What a run left: the merged tensors by the Gram matrices' files, and what it says."""

    tensors: dict[str, Any]
    grams: list[dict[str, Any]]
    found: Found
    outs: list[Path]


def run(
    folder: Path,
    models: Sequence[Any],
    data: Sequence[Data],
    base: Any = None,
    off_diagonal: float = 0.9,
    batch_size: int = 3,
    region: str = "all",
    weights: Sequence[float] | None = None,
    advance: Callable[[int], None] | None = None,
    **options: Any,
) -> Result:
    """Gather Gram matrices, and merge with them."""
    paths = save(folder, [*models, *([] if base is None else [base])])
    given, start = paths[: len(models)], paths[len(models)] if base is not None else None
    weights = weights or [1 / len(models)] * len(models)
    outs = [folder / f"gram{number}.safetensors" for number in range(len(models))]
    options = {"final_norm": "mean" if base is None else "pretrained"} | options
    settings = Settings(batch_size=batch_size, advance=advance or (lambda items: None))
    calibration = SequentialCalibration(**options)
    found = gather(
        given,
        start,
        data,
        calibration,
        off_diagonal,
        weights,
        settings,
        outs,
        region=region,
        force=True,
        dtype="float64",
    )
    return merge_by_files(given, start, outs, found, off_diagonal, weights)


def merge_by_files(
    models: Sequence[str],
    base: str | None,
    outs: Sequence[Path],
    found: Found,
    off_diagonal: float,
    weights: Sequence[float],
) -> Result:
    """Merge as RegMean does, by the formula: inverse of the sum, in float64."""
    import torch
    from safetensors.torch import load_file

    states = [load_file(path) for path in models]
    grams = [load_file(out) for out in outs]
    merged = {}
    for name in states[0]:
        owner = found.facts[0].aliases.get(name, name)
        own = [state[name].double() for state in states]
        if all(owner in gram for gram in grams):
            transposed, shape = found.facts[0].layout.get(name) == "in_out", states[0][name].shape
            own = [tensor.T if transposed else tensor.flatten(1) for tensor in own]
            scaled = [_scaled(gram[owner], off_diagonal) * weight for gram, weight in zip(grams, weights, strict=True)]
            right = sum(gram @ tensor.T for gram, tensor in zip(scaled, own, strict=True))
            solution = torch.linalg.lstsq(sum(scaled), right, driver="gelsd").solution
            merged[name] = (solution if transposed else solution.T).reshape(shape)
        else:
            merged[name] = sum(tensor * weight for tensor, weight in zip(own, weights, strict=True))
    if base is not None:
        merged |= {name: load_file(base)[name] for name in found.from_base}
    return Result(merged, grams, found, list(outs))


def _scaled(gram: Any, factor: float) -> Any:
    return gram * factor + gram.diag().diag() * (1 - factor)


def count_calls(monkeypatch: Any, kind: type) -> list[int]:
    """Count how many items run through modules of a class."""
    calls: list[int] = []
    forward = kind.forward

    def counting(self: Any, hidden: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(len(hidden))
        return forward(self, hidden, *args, **kwargs)

    monkeypatch.setattr(kind, "forward", counting)
    return calls
