"""The keys of an output's objects."""

from __future__ import annotations


class ObjectNames:
    """Keys by file names.

    Args:
        key: Of the output, a file or a folder.
        is_folder: Which of the two.

    Attributes:
        lock: Key of the lock, beside the output.
    """

    def __init__(self, key: str, *, is_folder: bool) -> None:
        self._key, self._is_folder = key, is_folder
        folder, slash, name = key.rpartition("/")
        self._folder = folder + slash
        self.lock = f"{self._folder}.{name}.merging"

    def of(self, name: str) -> str:
        """Return the key of one of the output's files."""
        return f"{self._key}/{name}" if self._is_folder else self._key

    def beside(self, name: str) -> str:
        """Return the key of a file beside the output."""
        return self._folder + name

    def covers(self, key: str) -> bool:
        """Tell whether a key is one of the output's, or the lock's."""
        return key in (self._key, self.lock) or key.startswith(f"{self._key}/")
