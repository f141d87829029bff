"""What a method, or a rule of a bundle, says of itself by its module and class."""

from __future__ import annotations

import inspect
import re
import sys


class Described:
    """Base of everything that is one file with a name, a summary and a paper."""

    @property
    def name(self) -> str:
        """The name in recipes and on the command line: the module's."""
        return type(self).__module__.rsplit(".", 1)[-1].replace("_", "-")

    @property
    def summary(self) -> str:
        """The first line of the class docstring."""
        return (type(self).__doc__ or "").strip().splitlines()[0]

    @property
    def note(self) -> str:
        """The module's docstring: source, formula, and at its end when to use it."""
        return inspect.cleandoc(sys.modules[type(self).__module__].__doc__ or "")

    @property
    def advice(self) -> tuple[str, ...]:
        """The paragraphs of the note that say when to use it, and when not; a third party's may have none."""
        return tuple(part for part in self.note.split("\n\n") if part.startswith(("Use it ", "Not ")))

    @property
    def paper(self) -> str:
        """The first paper that the module's docstring cites: ``arXiv:`` and a number, or an empty string."""
        match = re.search(r"arXiv:\d+\.\d+", self.note)
        return match[0] if match else ""
