"""The flags that every merging command has, declared once."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..checkpoints.address import OutputPath, output_path
from ..checkpoints.remote.offline import CACHE_VARIABLE
from ..dtypes import parse_dtype
from ..errors import UsageError, suggest
from ..recipe import OVERFLOWS, POLICIES, ROUNDINGS, Output, Policy, choose, parse_size

if TYPE_CHECKING:
    from ..distributed.spreading import Spreading

_OUTPUT, _RUN = "Output", "Running"
ENGINES = ("local", "ray")


def _flag(kind: Any, default: Any, *names: str, panel: str, help_text: str, **more: Any) -> tuple[Any, Any]:
    return Annotated[kind, typer.Option(*names, help=help_text, rich_help_panel=panel, **more)], default


COMMON: dict[str, tuple[Any, Any]] = {
    "out": _flag(
        Path | None,
        None,
        "-o",
        "--out",
        panel=_OUTPUT,
        help_text="A .st or .safetensors file, or else a folder; s3://… too.",
        parser=output_path,
        metavar="PATH",
    ),
    "keep": _flag(
        list[str] | None, None, "--keep", panel=_OUTPUT, help_text="Take tensors matching this from the base untouched."
    ),
    "missing": _flag(
        str | None,
        None,
        "--missing",
        panel=_OUTPUT,
        help_text="Tensors that some models lack: error, base, skip, average-present.",
    ),
    "mismatch": _flag(
        str | None,
        None,
        "--mismatch",
        panel=_OUTPUT,
        help_text="Tensors of different shapes: error, base, skip, average-present.",
    ),
    "dtype": _flag(str | None, None, "--dtype", panel=_OUTPUT, help_text="Type of the output, e.g. bfloat16."),
    "overflow": _flag(
        str | None,
        None,
        "--overflow",
        panel=_OUTPUT,
        help_text="Results beyond the largest number of their type: error, or saturate, which makes them that.",
    ),
    "rounding": _flag(
        str | None,
        None,
        "--rounding",
        panel=_OUTPUT,
        help_text="To types of at most 16 bits: nearest, or stochastic, by chance, which keeps the mean.",
    ),
    "count_lost_updates": _flag(
        bool,
        False,
        "--count-lost-updates",
        panel=_OUTPUT,
        help_text="Count the changes of the base that rounding to at most 16 bits undoes.",
    ),
    "max_shard_size": _flag(
        str | None,
        None,
        "--max-shard-size",
        panel=_OUTPUT,
        help_text="Most tensor data in one file of a folder. (default: 5GB)",
    ),
    "report": _flag(Path | None, None, "--report", panel=_OUTPUT, help_text="Folder for a report on the merge."),
    "dry_run": _flag(bool, False, "--dry-run", panel=_RUN, help_text="Print the plan; read headers only."),
    "force": _flag(
        bool, False, "--force", panel=_OUTPUT, help_text="Replace a file, or a folder that only merges wrote."
    ),
    "resume": _flag(bool, False, "--resume", panel=_RUN, help_text="Continue a merge that was killed."),
    "allow_nonfinite": _flag(
        bool, False, "--allow-nonfinite", panel=_OUTPUT, help_text="Merge infinities and NaN instead of refusing them."
    ),
    "sha256": _flag(
        bool, False, "--sha256", panel=_OUTPUT, help_text="Hash whole files too; those here by a second read."
    ),
    "seed": _flag(int | None, None, "--seed", panel=_RUN, help_text="Seed of whatever draws random numbers.", min=0),
    "device": _flag(str, "auto", "--device", panel=_RUN, help_text="auto, cpu, cuda (every GPU) or cuda:N."),
    "gpu_memory": _flag(
        str | None,
        None,
        "--gpu-memory",
        panel=_RUN,
        help_text="Most memory of each GPU to use, e.g. 8GB. (default: most of what is free)",
        metavar="SIZE",
    ),
    "architecture": _flag(
        str | None,
        None,
        "--model",
        panel=_RUN,
        help_text="Architecture to evaluate bare checkpoints with: DIR, hf:NAME, timm:NAME, …",
    ),
    "batch_size": _flag(
        int | None, None, "--batch-size", panel=_RUN, help_text="Items evaluated at a time. (default: 256)", min=1
    ),
    "threads": _flag(
        int | None,
        None,
        "--threads",
        panel=_RUN,
        help_text="Threads of a process. (default: one per core, up to 8)",
        min=1,
    ),
    "workers": _flag(
        int, 1, "--workers", panel=_RUN, help_text="Processes that share the work, each with its threads.", min=1
    ),
    "engine": _flag(str, "local", "--engine", panel=_RUN, help_text="local, or ray: processes of a Ray cluster."),
    "address": _flag(str | None, None, "--address", panel=_RUN, help_text="Of the Ray cluster, or auto."),
    "no_fsync": _flag(bool, False, "--no-fsync", panel=_RUN, help_text="Do not wait for the disk."),
    "offline": _flag(bool, False, "--offline", panel=_RUN, help_text="Never use the network."),
    "cache": _flag(bool, False, "--cache", panel=_RUN, help_text="Keep models of the hub in its cache on this disk."),
    "json_": _flag(bool, False, "--json", panel=_RUN, help_text="Print machine-readable output on stdout."),
    "quiet": _flag(bool, False, "--quiet", panel=_RUN, help_text="Print errors only."),
    "traceback": _flag(bool, False, "--traceback", panel=_RUN, help_text="Show where an error came from."),
}


@dataclass(frozen=True)
class MergeFlags:
    """The common flags as given; None where a recipe or a default decides."""

    out: OutputPath | None
    keep: list[str] | None
    missing: str | None
    mismatch: str | None
    dtype: str | None
    overflow: str | None
    rounding: str | None
    count_lost_updates: bool
    max_shard_size: str | None
    report: Path | None
    dry_run: bool
    force: bool
    resume: bool
    allow_nonfinite: bool
    sha256: bool
    seed: int | None
    device: str
    gpu_memory: str | None
    architecture: str | None
    batch_size: int | None
    threads: int | None
    workers: int
    engine: str
    address: str | None
    no_fsync: bool
    offline: bool
    cache: bool
    json_: bool
    quiet: bool
    traceback: bool

    @property
    def spreading(self) -> Spreading:
        """The processes that share the work."""
        return spreading_of(self.workers, self.engine, self.address)

    @property
    def device_here(self) -> str:
        """The device of this process by its name: machines of a cluster may have other ones."""
        return self.device if self.engine == "local" or self.device == "cpu" else "auto"

    @property
    def spread_flag(self) -> str | None:
        """The flag by which other processes were asked for."""
        if self.engine != "local":
            return "--engine"
        return "--workers" if self.workers > 1 else None

    def refuse_spreading(self, why: str) -> None:
        """Refuse to be asked for other processes where nothing is done that they could help with.

        Raises:
            UsageError: Saying why.
        """
        if self.spread_flag is not None:
            raise UsageError(f"{why}, so that {self.spread_flag} means nothing", hint="leave it out")

    def output(self, recipe: Output) -> Output:
        """Return a recipe's output with the flags on top."""
        dtype = parse_dtype(self.dtype, where="--dtype") if self.dtype else recipe.dtype
        size = recipe.max_shard_size
        if self.max_shard_size:
            size = parse_size(self.max_shard_size, where="--max-shard-size")
        overflow = choose("--overflow", self.overflow or recipe.overflow, OVERFLOWS)
        rounding = choose("--rounding", self.rounding or recipe.rounding, ROUNDINGS)
        path = self.out or recipe.path
        return replace(recipe, path=path, dtype=dtype, max_shard_size=size, overflow=overflow, rounding=rounding)

    @property
    def gpu_bytes(self) -> int | None:
        """The most bytes of each GPU to use.

        Raises:
            UsageError: It is no size, or no GPU is to be used.
        """
        if self.gpu_memory is not None and self.device == "cpu":
            raise UsageError("--gpu-memory is for merging on a GPU, and --device is cpu", hint="leave one of them out")
        return None if self.gpu_memory is None else parse_size(self.gpu_memory, where="--gpu-memory")


def take_common(values: dict[str, Any]) -> MergeFlags:
    """Remove the common flags from a command's arguments and return them checked.

    Raises:
        UsageError: For a device, an engine or a size that is none.
    """
    flags = MergeFlags(**{name: values.pop(name) for name in COMMON})
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", flags.device):
        raise UsageError(f"--device must be auto, cpu, cuda or cuda:N, not '{flags.device}'")
    _check_engine(flags.engine, flags.address)
    _ = flags.gpu_bytes  # which refuses what is no size
    if flags.offline:
        go_offline()
    if flags.cache:
        os.environ[CACHE_VARIABLE] = "1"
    return flags


def spreading_of(workers: int, engine: str, address: str | None) -> Spreading:
    """Return the processes that share the work.

    Raises:
        UsageError: There is no such engine, or an address means nothing to it.
    """
    from ..distributed.spreading import Spreading

    _check_engine(engine, address)
    return Spreading(workers, "ray" if engine == "ray" else "local", address)


def _check_engine(engine: str, address: str | None) -> None:
    if engine not in ENGINES:
        raise UsageError(f"--engine must be local or ray, not '{engine}'", hint=suggest(engine, ENGINES))
    if address is not None and engine != "ray":
        raise UsageError("--address is that of a Ray cluster", hint="give --engine ray with it")


def go_offline() -> None:
    """Tell the Hugging Face libraries, which read this when they are imported, never to use the network."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def parse_policy(flag: str, value: str | None, otherwise: Policy) -> Policy:
    """Return a policy given by a flag, or the other one where none is given.

    Raises:
        UsageError: For an unknown policy.
    """
    return otherwise if value is None else choose(flag, value, POLICIES)


def signature(parameters: Mapping[str, tuple[Any, Any]]) -> inspect.Signature:
    """Return a signature that Typer turns into arguments and flags."""
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            inspect.Parameter(name, keyword, default=default, annotation=annotation)
            for name, (annotation, default) in parameters.items()
        ]
    )
