"""Which pieces are done, so that a killed merge can go on.

One line per piece: its number and the digests of what it read and wrote. A line is appended when the piece's bytes
have been handed to the operating system; they outlive the process, but not the machine. So the first line names
the boot, and a journal from before a restart of the machine counts for nothing. Every line ends in a hash of itself, so
that a damaged one is never taken for what was done.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import xxhash

from ..content_id import DIGEST_BYTES


class Journal:
    """An append-only record of finished pieces and of reductions.

    Attributes:
        pieces: Hexadecimal digests of every finished piece, by its number.
        results: Outcome of reductions, by the text of their key.
        records: What methods noted of the finished tensors, by name.
        tallies: What rounding did to the tensors of finished pieces, by name, by the number of the piece.
        continued: Whether records of an earlier run were taken over.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._head = {"plan": fingerprint, "boot": boot()}
        self.pieces: dict[int, str] = {}
        self.results: dict[str, list[Any]] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.tallies: dict[int, dict[str, list[Any]]] = {}
        self.continued = False
        self._stream: IO[str] | None = None

    def take_over(self) -> str | None:
        """Read the records of an earlier run; return why they cannot be used, or None."""
        try:
            lines = self._path.read_text("utf-8").split("\n")[:-1]  # without a newline, a line was cut off
            head, *records = map(_read_line, lines)
        except (OSError, ValueError):
            return "there is no readable journal"
        if head.get("plan") != self._head["plan"]:
            return "the recipe, the inputs or the tool have changed since"
        if head.get("boot") is None or head.get("boot") != self._head["boot"]:
            return "the machine was restarted since, so what was written may be lost"
        for kind, key, value in records:
            known: dict[str, Any] = {"piece": self.pieces, "result": self.results, "record": self.records}
            known["tally"] = self.tallies
            known[kind][key] = value
        self.continued = True
        return None

    def discard(self, reason: str) -> str:
        """Forget the records that were taken over; return the reason."""
        self.pieces.clear()
        self.results.clear()
        self.records.clear()
        self.tallies.clear()
        self.continued = False
        return reason

    def start(self) -> None:
        """Open the journal for appending, keeping the records that were taken over."""
        if not self.continued:
            self._path.write_text(_line(self._head), "utf-8")
        self._stream = self._path.open("a", encoding="utf-8", buffering=1)

    def record(self, kind: str, key: int | str, value: object) -> None:
        """Append one record."""
        if self._stream is not None:
            self._stream.write(_line([kind, key, value]))

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()


def _line(value: object) -> str:
    text = json.dumps(value)
    return f"{text} {_hash(text)}\n"


def _read_line(line: str) -> Any:
    """Undo `_line`, without the end of the line. Raises ValueError where the line is damaged."""
    text, _, recorded = line.rpartition(" ")
    if recorded != _hash(text):
        raise ValueError("a damaged line")
    return json.loads(text)


def _hash(text: str) -> str:
    return xxhash.xxh3_64_hexdigest(text.encode())


def pack(spans: list[list[list[bytes]]]) -> str:
    """Return the digests of a piece as hexadecimal text."""
    return b"".join(digest for span in spans for source in span for digest in source).hex()


def unpack(text: str, counts: list[list[int]]) -> list[list[list[bytes]]]:
    """Undo `pack`, given how many digests every source of every span has."""
    raw = bytes.fromhex(text)
    position = 0
    spans = []
    for span in counts:
        lists = []
        for count in span:
            stop = position + count * DIGEST_BYTES
            lists.append([raw[start : start + DIGEST_BYTES] for start in range(position, stop, DIGEST_BYTES)])
            position = stop
        spans.append(lists)
    return spans


def boot() -> str | None:
    """Return something that changes with every start of the machine, or None where nothing is known."""
    path = Path("/proc/sys/kernel/random/boot_id")
    if path.exists():
        return path.read_text().strip()
    if sys.platform == "darwin":
        found = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=False)
        return found.stdout.decode().strip() or None
    return None
