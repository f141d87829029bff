"""Where an output goes: a path on this machine, or an address elsewhere, which has the parts of a path too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ..errors import UsageError
from .remote.reference import is_marked
from .resolve import local_path

_HERE = ("file", "local")  # protocols that name a path on this machine
_STORE = r"abfss?|az|ftp|gcs|gs|hdfs|hf|https?|memory|s3a?|sftp|ssh"
_ONE_SLASH = re.compile(rf"(?:^|/)({_STORE}):/([^/].*)")


@dataclass(frozen=True)
class Address:
    """A file or folder elsewhere, such as ``s3://bucket/folder/out``.

    Attributes:
        text: The address without a slash at its end.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def protocol(self) -> str:
        """What stands before the colon, in small letters."""
        return self.text.partition(":")[0].lower()

    @property
    def name(self) -> str:
        """The last part."""
        return self.text.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix of the last part."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Address:
        """The folder that it lies in."""
        return Address(self.text.rpartition("/")[0])

    def with_name(self, name: str) -> Address:
        """Return the address of this name in the same folder."""
        return self.parent / name

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self.text}/{name}")

    def absolute(self) -> Address:
        """Return the address: it is the same from every folder."""
        return self


OutputPath = Path | Address


def output_path(given: str | Path) -> OutputPath:
    """Return the place that a user names for an output.

    Raises:
        UsageError: An address that names no place.
    """
    if isinstance(given, Path) or not is_marked(given):
        return Path(given)
    parts = urlsplit(given)
    if parts.scheme.lower() in _HERE and "::" not in given:
        return Path(unquote(parts.path) or ".")
    scheme, colon, rest = given.partition(":")
    if not rest.strip("/"):
        raise UsageError("this address names no place", where=given, hint=f"write it as {scheme}://bucket/folder")
    return Address(scheme.lower() + colon + rest.rstrip("/"))


def settled(out: OutputPath, folder: Path | None) -> OutputPath:
    """Return an output's place as seen from the current folder, its path counted from another one.

    Raises:
        UsageError: Its name is no valid text, or an address with one slash.
    """
    if isinstance(out, Address):
        return out
    if (meant := meant_address(out)) is not None:
        raise UsageError("an address has two slashes", where=str(out), hint=f"did you mean '{meant}'?")
    return local_path(out, folder)


def meant_address(path: Path) -> str | None:
    """Return the address that a path was written for, or None: of two slashes, a path keeps one."""
    found = _ONE_SLASH.search(path.as_posix())
    return f"{found[1]}://{found[2]}" if found else None


def on_this_machine(out: OutputPath, what: str, hint: str) -> Path:
    """Return the path of an output that must lie on this machine.

    Args:
        out: Its place.
        what: What needs a path.
        hint: What to do instead.

    Raises:
        UsageError: It lies elsewhere.
    """
    if isinstance(out, Address):
        raise UsageError(f"{what} can be written on this machine only", where=str(out), hint=hint)
    return out


def nearby(out: OutputPath) -> Path:
    """Return the path on this machine beside which files about an output lie; of one elsewhere, in this folder."""
    return Path(out.name) if isinstance(out, Address) else out
