"""What the campaign of faults writes: one command for every form of output, and what an older one had written."""

from __future__ import annotations

from dataclasses import dataclass

INPUTS = "../inputs"
A, B, C, BASE = (f"{INPUTS}/{name}.st" for name in ("a", "b", "c", "base"))
FOLDERS = (f"{INPUTS}/A", f"{INPUTS}/B")
NETWORK = ("--model", f"{INPUTS}/network.py:Network")
BENCHMARK = ("--benchmark", f"{INPUTS}/digits.yaml")
DATA = ("--data", f"{INPUTS}/digits.yaml")
ONE_THREAD = ("--threads", "1")


@dataclass(frozen=True)
class Form:
    """An output.

    Attributes:
        arguments: Of the command that writes it.
        former: Of the command that wrote what stands there already.
        can_resume: Whether the command takes ``--resume``.
        replaces: What lets it replace what stands there.
        tells: Whether a report tells of an unfinished run before it.
    """

    name: str
    arguments: tuple[str, ...]
    former: tuple[str, ...]
    can_resume: bool = False
    replaces: tuple[str, ...] = ("--force",)
    tells: bool = False


def _soup(*models: str, more: tuple[str, ...] = (), out: str = "out") -> tuple[str, ...]:
    return ("soup", *models, *ONE_THREAD, *more, "-o", out)


def _gram(samples: str) -> tuple[str, ...]:
    return ("calibrate", "gram", A, *NETWORK, *DATA, "--samples", samples, "--batch-size", "4", "-o", "out.st")


def _regression(*models: str) -> tuple[str, ...]:
    return ("regmean", *models, *NETWORK, *DATA, "--samples", "12", *ONE_THREAD, "-o", "out.st")


def _aligned(emit: str, *models: str) -> tuple[str, ...]:
    return ("rebasin", *models, *NETWORK, "--emit", emit, "-o", "out.st")


def _adapter(tuned: str) -> tuple[str, ...]:
    return ("extract-lora", tuned, "--base", BASE, "--rank", "2", *ONE_THREAD, "-o", "out")


def _evaluation(*models: str) -> tuple[str, ...]:
    return ("eval", *models, *NETWORK, *BENCHMARK, "--report", "report")


_SHARDS = ("--max-shard-size", "10KB")
_SWEEP = ("slerp", "--sweep", "t=0.25,0.75", *ONE_THREAD, "-o", "out.st")
_REPORT = ("--report", "report")
FORMS = {
    form.name: form
    for form in (
        Form("file", _soup(A, B, out="out.st"), _soup(B, C, out="out.st"), can_resume=True),
        Form("shards", _soup(*FOLDERS, more=_SHARDS), _soup(*FOLDERS, more=("--weights", "1,3")), can_resume=True),
        Form("folder", _soup(*FOLDERS), _soup(*FOLDERS, more=_SHARDS), can_resume=True),
        Form("bundle-moe", ("moe", A, B, "--copy", "-o", "out"), ("moe", B, C, "-o", "out")),
        Form("bundle-t3", ("t3", A, B, *NETWORK, "-o", "out"), ("t3", B, A, *NETWORK, "--copy", "-o", "out")),
        Form("statistics", _gram("16"), _gram("8"), can_resume=True),
        Form("eval-report", _evaluation(A, B), _evaluation(C), replaces=()),
        Form(
            "soup-report", _soup(A, B, out="out.st", more=_REPORT), _soup(B, C, out="out.st", more=_REPORT), tells=True
        ),
        Form("adapter", _adapter(A), _adapter(B)),
        Form("sweep", (*_SWEEP, A, B), (*_SWEEP, B, C)),
        Form("aligned", _aligned("aligned", A, B, C), _aligned("aligned", C, B, A)),
        Form("permutations", _aligned("permutations", A, B), _aligned("permutations", B, C)),
        Form("regression", _regression(A, B), _regression(B, C)),
    )
}
