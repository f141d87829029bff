"""What torch builds in place of objects that are no weights, in a file of torch.save: nothing that does anything.

Programs save their state beside the weights: Lightning its callbacks, others their configuration. torch's restricted
unpickler refuses what it does not know. It is told instead that these names stand for a class of ours, which takes any
arguments and drops them, so that nothing of any library is imported, called or changed. Names that a file would only
hold to have code run are refused as before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

_SUSPECT = frozenset(
    (
        *("builtins", "__builtin__", "importlib", "pydoc", "runpy", "types"),
        *("_io", "io", "nt", "os", "posix", "shutil", "tempfile"),
        *("commands", "ctypes", "pip", "pty", "subprocess", "sys"),
        *("bdb", "pdb", "timeit", "socket", "ssl", "urllib", "webbrowser"),
        *("_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle"),
        *("torch.hub", "torch.serialization", "torch.utils.cpp_extension"),
    )
)
_HARMLESS = frozenset({"types.SimpleNamespace"}) | frozenset(
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in (
        *("object", "set", "frozenset", "slice", "range", "xrange", "dict", "list", "tuple", "int", "long", "float"),
        *("bool", "str", "unicode", "bytes", "bytearray", "complex", "type", "getattr", "Ellipsis", "NotImplemented"),
    )
)
Inert = Callable[..., Any] | tuple[Callable[..., Any], str]  # as torch takes it
_MAPPINGS = ("dict", "namespace", "cfgnode", "box", "config")  # in names of classes that may be mappings


class StandIn:
    """An object that could not be built, and is not needed.

    Attributes:
        stands_for: Module and name of its class.
    """

    stands_for = "an object"

    def __new__(cls, *args: Any, **kwargs: Any) -> StandIn:
        """Take anything."""
        made = object.__new__(cls)
        if args and isinstance(args[0], type) and issubclass(args[0], StandIn):  # copyreg's way to make an object
            made.stands_for = args[0].stands_for
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Drop it."""

    def __setstate__(self, state: Any) -> None:
        """Drop that too."""


class StandInMapping(StandIn):
    """Gives a plain mapping in place of an object that the file fills as one."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Return an empty mapping."""
        return OrderedDict()


def suspect(names: Iterable[str]) -> str | None:
    """Return the first of these names that no state of a program needs, and a file to do harm would."""
    found = (name for name in sorted(names) if name not in _HARMLESS and _is_suspect(name))
    return next(found, None)


def _is_suspect(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:length]) in _SUSPECT for length in range(1, len(parts)))


def stand_ins(names: Iterable[str], *, mappings: bool = False) -> list[Inert]:
    """Return, for `torch.serialization.safe_globals`, a class that does nothing for each name.

    Args:
        names: Modules and names as the file gives them.
        mappings: Whether all of them, and not only those that sound so, are filled like mappings.
    """
    return [(_class_for(name, mappings=mappings), name) for name in names]


def _class_for(name: str, *, mappings: bool) -> type:
    own = name.rpartition(".")[2].lower()
    base = StandInMapping if mappings or any(word in own for word in _MAPPINGS) else StandIn
    return type("StandIn", (base,), {"stands_for": name})
