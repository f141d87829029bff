"""Where a form of output is written again and again: what it is when nothing goes wrong, and what a fault has left."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from faults_forks import ANY, NO_FAULT, QUIET, Ending, Fault, Forks, Surroundings
from faults_forms import Form
from faults_models import make_inputs

Contents = dict[str, str]
_REPORTS = ("report.md", "report.html", "results.json")


def contents(folder: Path) -> Contents:
    """Return every file below a folder, hidden ones included, with its hash; in reports, numbers are left out.

    Empty folders count, those that hold files do not.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() or not any(path.iterdir()):
            found[str(path.relative_to(folder))] = _content(path)
    return found


def _content(path: Path) -> str:
    if path.is_dir():
        return "folder"
    raw = path.read_bytes()
    if path.name in _REPORTS:
        raw = re.sub(rb"[\d.]+( ?(ms|s|min|[kMG]?B|e-\d+)\b)?", b"#", raw)
    return hashlib.sha256(raw).hexdigest()


@dataclass(frozen=True)
class Known:
    """A form when nothing goes wrong.

    Attributes:
        former: What an older command has left; empty for an output that is new.
        after: What the command leaves.
        calls: By kinds, how many calls to the system it makes.
    """

    form: Form
    folder: Path
    former: Contents
    after: Contents

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of the command."""
        return (*self.form.arguments, *(self.form.replaces if self.former else ()))


class Workshop:
    """Inputs, and a folder beside them for every run.

    Args:
        folder: New; everything lies below.
        forks: Runs the tool.
    """

    def __init__(self, folder: Path, forks: Forks) -> None:
        self.folder, self.forks = folder, forks
        folder.mkdir(exist_ok=True)
        self.inputs = make_inputs(folder / "inputs")
        self._untouched = contents(self.inputs)
        self._place, self.temporary = folder / "work", folder / "temporary"
        self._known: dict[tuple[str, bool], Known] = {}

    def known(self, form: Form, *, replaces: bool) -> Known:
        """Return a form when nothing goes wrong, found out the first time."""
        key = form.name, replaces
        if key not in self._known:
            former = self.folder / f"former-{form.name}-{replaces}"
            former.mkdir()
            if replaces:
                self._sound(form.former, former)
            work = self._begun(former)
            before = contents(work)
            self._sound((*form.arguments, *(form.replaces if replaces else ())), work)
            self._known[key] = Known(form, former, before, contents(work))
        return self._known[key]

    def _sound(self, arguments: tuple[str, ...], folder: Path) -> Ending:
        ending = self.forks.run(arguments, folder, learn=True)
        if ending.code:
            raise RuntimeError(f"{' '.join(arguments)}: {ending.err}")
        return ending

    def _begun(self, former: Path) -> Path:
        """Return the folder of a run as it is before."""
        for path in (self._place, self.temporary):
            if path.exists():
                shutil.rmtree(path)
        shutil.copytree(former, self._place)
        return self._place

    def calls(self, known: Known, kinds: int = ANY) -> int:
        """Return how many calls of these kinds the command makes."""
        work = self._begun(known.folder)
        return self.forks.run(known.arguments, work, Fault(kinds=kinds), under=self.folder).seen

    def run(
        self, known: Known, fault: Fault = NO_FAULT, around: Surroundings = QUIET, *, resume: bool = False
    ) -> tuple[Ending, Contents]:
        """Run a command from the start; return how it ended and what lies there then."""
        work = self._begun(known.folder)
        arguments = (*known.arguments, *(("--resume",) if resume else ()))
        return self.forks.run(arguments, work, fault, around, under=self.folder), contents(work)

    def again(self, known: Known, found: Contents, *, resume: bool) -> tuple[Ending, Contents]:
        """Run a command once more where an earlier run ended."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        stands = any(not name.startswith(".") for name in found)
        arguments = (*known.form.arguments, *(known.form.replaces if stands else ()))
        ending = self.forks.run((*arguments, *(("--resume",) if resume else ())), self._place, under=self.folder)
        return ending, contents(self._place)

    def left_elsewhere(self) -> list[str]:
        """Return what lies in the folder for temporary files, and which inputs are no longer what they were."""
        strays = [f"temporary/{name}" for name in contents(self.temporary)] if self.temporary.exists() else []
        now = contents(self.inputs)
        changed = [name for name in now.keys() | self._untouched.keys() if now.get(name) != self._untouched.get(name)]
        return strays + [f"inputs/{name}" for name in changed]
