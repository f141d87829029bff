"""What ``soak.py`` does over and over, through the Python API; each knows whether it must fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from soak_inputs import state

import merge
from merge.cli import main
from merge.engine import RunSettings
from merge.execute import WriteSettings
from merge.grammar import read_recipe

_QUICKLY = WriteSettings(sync=False)


class Job(NamedTuple):
    """Something to do.

    Attributes:
        name: In the table.
        run: Does it; takes the folder of the inputs and the place for an output.
        refusal: A word of the error that it must end with; None where it must not fail.
        merges: How many merges it makes or begins.
    """

    name: str
    run: Callable[[Path, Path], Any]
    refusal: str | None = None
    merges: int = 1


def recipe(name: str, suffix: str = "", settings: WriteSettings = _QUICKLY) -> Callable[[Path, Path], Any]:
    """Return what runs a recipe into a file, or into a folder where there is no suffix."""
    return lambda inputs, out: merge.merge(inputs / f"{name}.yaml", out=out.with_suffix(suffix), settings=settings)


def _shards(inputs: Path, out: Path) -> None:
    found = read_recipe(inputs / "folder.yaml")
    merge.merge(replace(found, output=replace(found.output, max_shard_size=40_000)), out=out, settings=_QUICKLY)


def _taken(inputs: Path, out: Path) -> None:
    merge.merge(inputs / "soup.yaml", out=out.with_suffix(".st"), settings=_QUICKLY)
    recipe("slerp", ".st")(inputs, out)


def _interrupted(inputs: Path, out: Path) -> None:
    def stop(_bytes: int, _tensors: int) -> None:
        raise merge.MergeError("stopped by the soak")

    recipe("ties", ".st", replace(_QUICKLY, run=RunSettings(advance=stop)))(inputs, out)


def _arrays(_inputs: Path, _out: Path) -> None:
    merge.merge_state_dicts([state(1), state(2)], method="ties", base=state(0))


def _tensors(_inputs: Path, _out: Path) -> None:
    import torch

    one, two = ({name: torch.from_numpy(np.asarray(array)) for name, array in state(n).items()} for n in (1, 2))
    merge.merge_state_dicts([one, two], weight=[0.25, 0.75])


def _bundle(inputs: Path, out: Path) -> None:
    _command("moe", inputs / "digits-a", inputs / "digits-b", "-o", out)
    for member in merge.load(out).state_dicts():  # type: ignore[union-attr]
        assert member


def _verified(inputs: Path, out: Path) -> None:
    recipe("dare", ".st")(inputs, out)
    _command("verify", out.with_suffix(".st"))
    assert merge.load(out.with_suffix(".st"))


def _command(*words: object) -> None:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as errors:
        code = main([*map(str, words), "--quiet"] if words[0] != "verify" else list(map(str, words)))
    assert code == 0, errors.getvalue()


def evaluated(inputs: Path, out: Path) -> None:
    """Merge two classifiers and score the outcome."""
    recipe("folder")(inputs, out)
    found = merge.evaluate([str(out)], ["digits"], threads=1)
    assert {row["n"] for row in found.results} == {540}


JOBS = (
    *(Job(f"{name}, a file", recipe(name, ".st")) for name in ("soup", "weighted", "task-arithmetic", "ties", "dare")),
    *(Job(f"{name}, a file", recipe(name, ".st")) for name in ("slerp", "iso-c", "nested")),
    Job("soup, four threads", recipe("soup", ".st", replace(_QUICKLY, run=RunSettings(threads=4)))),
    Job("soup, a folder", recipe("folder")),
    Job("soup, a folder of shards", _shards),
    Job("ties, numpy arrays in memory", _arrays),
    Job("soup, torch tensors in memory", _tensors),
    Job("moe, a bundle, loaded", _bundle),
    Job("dare, verified and loaded", _verified, merges=2),
    Job("fails: NaN in a model", recipe("nan", ".st"), "NaN"),
    Job("fails: a file cut short", recipe("cut", ".st"), "cut.st"),
    Job("fails: another architecture", recipe("other", ".st"), "tensor"),
    Job("fails: no such option", recipe("option", ".st"), "density"),
    Job("fails: the output is there", _taken, "exists", merges=2),
    Job("fails: stopped in the middle", _interrupted, "stopped"),
)
EVALUATION = Job("soup, a folder, evaluated", evaluated)
