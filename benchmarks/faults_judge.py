"""What may be true after a fault, and what may not."""

from __future__ import annotations

import os

from faults_forks import READ, Ending, Fault
from faults_workshop import Contents, Known

_HIDDEN = (".merging", ".partial")
INTERRUPTED = 130
# What stands for the reason where a library or a check that finds nothing to read does not pass it on.
_UNREADABLE = ("File is not a zip file", "what stands there is no bundle")


def judge_left(known: Known, found: Contents) -> list[str]:
    """Return what is neither the former output nor the new one, both bit for bit, and no folder of an unfinished run.

    A single file, a folder, a card beside a file and each file of a report's folder count alone.
    """
    faults = []
    for unit in sorted({_unit(name) for name in (known.former | known.after)}):
        states = [_of(unit, each) for each in (known.former, known.after)]
        now = _of(unit, found)
        if now not in states:
            faults.append(f"'{unit}' is {'gone' if not now else 'neither the former nor the new one'}")
    return faults + [f"'{name}' is left" for name in _strays(known, found) if not _is_unfinished(name)]


def _unit(name: str) -> str:
    """Return what is replaced as one: the first folder, but of reports and statistics every file."""
    first = name.split("/", 1)[0]
    return name if first.startswith("report") or first.endswith(".statistics") else first


def _of(unit: str, found: Contents) -> Contents:
    return {name: content for name, content in found.items() if _unit(name) == unit}


def _strays(known: Known, found: Contents) -> list[str]:
    units = {_unit(name) for name in (known.former | known.after)}
    return sorted(name for name in found if _unit(name) not in units)


def _is_unfinished(name: str) -> bool:
    return any(part.endswith(_HIDDEN) for part in name.split("/"))


def judge_clean(known: Known, found: Contents) -> list[str]:
    """Return also what an unfinished run has left."""
    return judge_left(known, found) + [f"'{name}' is left" for name in _strays(known, found) if _is_unfinished(name)]


def judge_done(known: Known, ending: Ending, found: Contents) -> list[str]:
    """Return how a run that nothing disturbs differs from the one that nothing has disturbed before."""
    faults = [f"the next run ends with {ending.code}: {ending.err.strip()[-200:]}"] if ending.code else []
    names = sorted(name for name in found.keys() | known.after.keys() if found.get(name) != known.after.get(name))
    if known.form.tells:
        names = [name for name in names if not (name in found and name in known.after and name.startswith("report/"))]
    return faults + [f"'{name}' is not as it is undisturbed" for name in names]


def judge_failed(known: Known, fault: Fault, ending: Ending, found: Contents) -> list[str]:
    """Return what is wrong with the end of a run in which a call failed: done all the same, or refused in one line."""
    if not ending.fired:
        return judge_done(known, ending, found)
    if ending.code == 0:  # it did without, or could not remove what it no longer needs, which the next run does
        return judge_done(known, ending, {name: each for name, each in found.items() if not _is_unfinished(name)})
    reads = fault.kinds == READ
    faults = [] if ending.code == 1 or (ending.code == 2 and reads) else [f"it ends with {ending.code}"]
    wanted = [os.strerror(fault.detail), f"os error {fault.detail}", *(_UNREADABLE if reads else ())]
    faults += judge_message(ending, wanted)
    return faults + judge_clean(known, found)


def judge_interrupted(known: Known, ending: Ending, found: Contents) -> list[str]:
    """Return what is wrong with the end of a run that was interrupted once: everything cleaned up, and said so."""
    if ending.code == 0:
        return judge_done(known, ending, found)
    faults = [] if ending.code == INTERRUPTED else [f"it ends with {ending.code}"]
    faults += judge_message(ending, ["interrupted"])
    if "nothing was written" in ending.err and found != known.former:
        faults.append("it says that nothing was written")
    return faults + judge_clean(known, found)


def judge_message(ending: Ending, words: list[str]) -> list[str]:
    """Return what is wrong with a message: it is to be one line that names a file and the reason."""
    lines = [line for line in ending.err.splitlines() if line and not line.startswith("warning: ")]
    text = " ".join(lines)
    faults = ["it hangs"] if ending.hung else []
    if len(lines) != 1 or not text.startswith("merge: ") or "Traceback" in text or "unexpected" in text:
        faults.append(f"no clear line: {text[-300:]!r}")
    elif not any(word in text for word in words):
        faults.append(f"the reason is not said: {text!r}")
    elif "interrupted" not in words and not any(sign in text for sign in ("/", "out", "report", ".st")):
        faults.append(f"no file is named: {text!r}")
    return faults
