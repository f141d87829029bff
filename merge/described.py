"""What a method, or a rule of a bundle, says of itself by its module and class."""

from __future__ import annotations

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
    def paper(self) -> str:
        """The first paper that the module's docstring cites: ``arXiv:`` and a number, or an empty string."""
        match = re.search(r"arXiv:\d+\.\d+", sys.modules[type(self).__module__].__doc__ or "")
        return match[0] if match else ""
