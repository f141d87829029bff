"""Lets things go wrong while `merge` writes, in every form of output, and looks at what is left then.

Run it from a checkout on Linux with a C compiler: ``python benchmarks/faults.py``. It makes tiny models in a temporary
folder, kills runs at random calls to the system, lets every write and every read fail in turn, interrupts runs, prints
one line for whatever is wrong and a table of counts, and removes what it made. The exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults_campaign import LOOPS, Trial, interruptions, kills, loop
from faults_forks import Forks, temporary_workshop, why_not
from faults_forms import FORMS
from faults_workshop import Workshop

KINDS = ("kills", *LOOPS, "interruptions")


def main(words: Sequence[str]) -> int:
    """Run what the command line asks for; return the exit code."""
    options = _options(words)
    if problem := why_not():
        print(f"faults.py: {problem}", file=sys.stderr)
        return 1
    began, found = time.monotonic(), []
    with temporary_workshop(options.folder) as folder, Forks(Path(folder) / "server") as forks:
        for trial in _trials(Workshop(Path(folder) / "shop", forks), options):
            found.append(trial)
            if trial.faults:
                print(trial, flush=True)
    print(_table(found))
    wrong = sum(bool(trial.faults) for trial in found)
    print(f"\n{len(found)} trials, {wrong} wrong, seed {options.seed}, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=520, help="runs that are killed, spread over all forms")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--form", action="append", choices=FORMS, help="only this form; repeatable")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this kind of fault; repeatable")
    parser.add_argument("--step", type=int, default=1, help="let every so-many-th call fail, not every one")
    parser.add_argument("--folder", type=Path, help="folder to work in; by default the one for temporary files")
    return parser.parse_args(words)


def _trials(shop: Workshop, options: argparse.Namespace) -> Iterator[Trial]:
    names, kinds = options.form or list(FORMS), options.kind or KINDS
    if "kills" in kinds:
        print("faults.py: kills", file=sys.stderr, flush=True)
        yield from kills(shop, names, options.kills, options.seed)
    for name in names:
        print(f"faults.py: {name}", file=sys.stderr, flush=True)
        for replaces in (False, True):
            known = shop.known(FORMS[name], replaces=replaces)
            for what in (what for what in LOOPS if what in kinds):
                yield from loop(shop, known, what, step=options.step)
            if "interruptions" in kinds:
                yield from interruptions(shop, known, step=options.step, seed=options.seed)


def _table(found: list[Trial]) -> str:
    kinds = list(dict.fromkeys(trial.what for trial in found))
    lines = ["", "| form | " + " | ".join(kinds) + " |", "|---|" + "--:|" * len(kinds)]
    counts, wrong = Counter(), Counter()
    for trial in found:
        counts[trial.form, trial.what] += trial.fired
        wrong[trial.form, trial.what] += bool(trial.faults)
    for form in dict.fromkeys(trial.form for trial in found):
        cells = [f"{counts[form, what]}{f' ({wrong[form, what]} wrong)' * bool(wrong[form, what])}" for what in kinds]
        lines.append(f"| {form} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
