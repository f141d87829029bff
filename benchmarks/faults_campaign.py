"""The trials of the campaign of faults: kills at random moments, and loops over every call that can fail."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from faults_forks import BAD_READ, BAD_WRITE, FULL, INTERRUPT, KILL, SHORT, TERMINATE, TORN, Fault, Surroundings, at
from faults_forms import FORMS
from faults_judge import judge_done, judge_failed, judge_interrupted, judge_left
from faults_workshop import Known, Workshop

LOOPS = {
    "ENOSPC once": FULL,
    "ENOSPC from then on": replace(FULL, lasting=True),
    "EIO of a write": BAD_WRITE,
    "EIO of a read": BAD_READ,
    "half a read or write": SHORT,
}
_BY_THE_CLOCK = 0.2  # share of the kills that come at a random moment of the time it takes, not at a call
_BETWEEN = 12  # calls, at most, between a signal and its repetition


@dataclass(frozen=True)
class Trial:
    """One run with a fault, and what was wrong afterwards.

    Attributes:
        what: The kind of fault.
        where: At which call, or after how many seconds.
    """

    form: str
    replaces: bool
    what: str
    where: str
    faults: tuple[str, ...]
    fired: bool = True

    def __str__(self) -> str:
        """Return it in one line."""
        way = "replacing" if self.replaces else "new"
        return f"{self.form} ({way}), {self.what} at {self.where}: {'; '.join(self.faults) or 'sound'}"


def kills(shop: Workshop, names: list[str], count: int, seed: int) -> Iterator[Trial]:
    """Kill that many runs, spread evenly over the forms, new and replacing, and at random over their calls."""
    draws = random.Random(seed)
    places = [(name, replaces) for name in names for replaces in (False, True)]
    for number in range(count):
        name, replaces = places[number % len(places)]
        yield kill(shop, shop.known(FORMS[name], replaces=replaces), draws)


def kill(shop: Workshop, known: Known, draws: random.Random) -> Trial:
    """Kill a run, and let the next one finish it, or start over."""
    by_the_clock = draws.random() < _BY_THE_CLOCK
    moment, fault, resume = draws.random(), draws.choice((KILL, TORN)), draws.random() < 0.5
    if by_the_clock:
        after = moment * _duration(shop, known)
        ending, found = shop.run(known, around=Surroundings(after=after))
        where = f"{after:.3f} s"
    else:
        number = 1 + int(moment * _calls(shop, known))
        ending, found = shop.run(known, at(fault, number))
        where = f"{'half of ' if fault is TORN else ''}call {number}"
    faults = judge_left(known, found)
    resume = resume and known.form.can_resume
    faults += judge_done(known, *shop.again(known, found, resume=resume)) + shop.left_elsewhere()
    what = f"kill -9, then {'--resume' if resume else 'anew'}"
    return Trial(known.form.name, bool(known.former), what, where, tuple(faults), ending.code < 0)


_found: dict[tuple[str, str, bool], float] = {}


def _calls(shop: Workshop, known: Known) -> int:
    key = "calls", known.form.name, bool(known.former)
    if key not in _found:
        _found[key] = shop.calls(known)
    return int(_found[key])


def _duration(shop: Workshop, known: Known) -> float:
    key = "seconds", known.form.name, bool(known.former)
    if key not in _found:
        _found[key] = shop.run(known)[0].seconds
    return _found[key]


def loop(shop: Workshop, known: Known, what: str, *, step: int = 1, start: int = 1) -> Iterator[Trial]:
    """Let every call of these kinds fail in turn, or every ``step``-th."""
    fault = LOOPS[what]
    for number in range(start, shop.calls(known, fault.kinds) + 1, step):
        ending, found = shop.run(known, at(fault, number))
        faults = judge_failed(known, fault, ending, found) + shop.left_elsewhere()
        yield Trial(known.form.name, bool(known.former), what, f"call {number}", tuple(faults), bool(ending.fired))


def interruptions(shop: Workshop, known: Known, *, step: int = 1, seed: int = 0) -> Iterator[Trial]:
    """Interrupt a run at every ``step``-th call, by SIGTERM, SIGINT, or SIGINT twice."""
    draws = random.Random(seed)
    for number in range(1 + draws.randrange(step), shop.calls(known) + 1, step):
        for name, fault in (("SIGTERM", TERMINATE), ("SIGINT", INTERRUPT)):
            yield _interrupted(shop, known, name, at(fault, number))
        yield _twice(shop, known, at(INTERRUPT, number, number + draws.randint(1, _BETWEEN)))


def _interrupted(shop: Workshop, known: Known, name: str, fault: Fault) -> Trial:
    ending, found = shop.run(known, fault)
    faults = judge_interrupted(known, ending, found) + shop.left_elsewhere()
    fired = bool(ending.fired)
    return Trial(known.form.name, bool(known.former), name, f"call {fault.number}", tuple(faults), fired)


def _twice(shop: Workshop, known: Known, fault: Fault) -> Trial:
    """Interrupt a run, and then its cleaning up: something unfinished may stay then, which the next run removes."""
    ending, found = shop.run(known, fault)
    faults = judge_left(known, found)
    faults += [f"it ends with {ending.code}: {ending.err[-200:]}"] if ending.code not in (0, 130, -2) else []
    faults += ["Traceback"] if "Traceback" in ending.err else []
    faults += judge_done(known, *shop.again(known, found, resume=False)) + shop.left_elsewhere()
    where = f"calls {fault.number} and {fault.again}"
    return Trial(known.form.name, bool(known.former), "SIGINT twice", where, tuple(faults), bool(ending.fired))
