"""Merging what lies in a store against downloading it, over a link of so many bytes per second."""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from inputs import Inputs, warm
from measure import measure
from rows import Command, Row, Usage, merge
from scale_table import Section, often, verdict

BUCKET = "models"
_SERVER = Path(__file__).with_name("scale_server.py")
_S3FS = "import sys, s3fs; s3fs.S3FileSystem().get(sys.argv[1::2], sys.argv[2::2])"
_ONLINE = ("env", "HF_HUB_OFFLINE=0")
_MOST_TIMES, _MOST_PEAK = 1.3, 200
_SETTLED = 1e9  # bytes of both files; in the time of fewer, starting programs weighs too much
_HEADINGS = ("what", "wall s", "CPU s", "peak MB", "sent / size", "requests", "wall / download", "targets")
_ABOUT = """\
The same two files, of {size:.2f} GB each, from a server on this machine that sends {rate:g} MB/s over all connections
together, so that the link is the bound: {floor:.1f} s for both. Whole processes, start-up included, everything in turn,
{often}; the largest peak of all. *sent / size* is what the server counted over the size of both files: 1 is
each byte once. The last ratio is to the fastest download by the same protocol with the store's own clients, whose files
land on the disk; merges run with `--no-fsync`."""


class Served(NamedTuple):
    """One run: what the process used, what the server sent, and for how many requests."""

    used: Usage
    sent: int
    requests: int


class Server:
    """The address of a server that runs, and its counts."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def counts(self) -> tuple[int, int]:
        """Return the bytes that were sent since the last call, and the requests."""
        with urllib.request.urlopen(f"{self.url}/-/counts") as answer:
            found = json.load(answer)
        return sum(found["sent"].values()), found["requests"]

    def run(self, row: Row) -> Served:
        """Run a row once."""
        self.counts()
        used = measure([row], 1)[row.label]
        return Served(used, *self.counts())


@contextmanager
def serving(folder: Path, rate: float) -> Iterator[Server]:
    """Serve the files of a folder for as long as a ``with`` block lasts.

    Args:
        folder: The files.
        rate: Bytes per second, over all connections together.
    """
    command = [sys.executable, str(_SERVER), str(folder), "--rate", str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()))
        finally:
            process.communicate()  # closes its input, which ends it


def store(inputs: Inputs, rate: float, runs: int) -> Section:
    """Measure downloads and merges of two files from the web and from S3.

    Args:
        inputs: Makes the files.
        rate: MB per second of the link.
        runs: How often.
    """
    files = [inputs.tuned(1), inputs.tuned(2)]
    warm(files)
    folder = inputs.folder / "served"
    folder.mkdir()
    for file in files:
        (folder / f"{file.stem}.safetensors").hardlink_to(file)
    names = sorted(path.name for path in folder.iterdir())
    size = sum(path.stat().st_size for path in folder.iterdir())
    with serving(folder, rate * 1e6) as server:
        groups = [_web(server.url, names, inputs), _s3(server.url, names, inputs)]
        rows = [row for group in groups for row in group]
        found = [{row.label: server.run(row) for row in rows} for _ in range(runs)]
    lines = [line for group in groups for line in _lines(group, found, size)]
    about = _ABOUT.format(size=size / len(names) / 1e9, rate=rate, floor=size / rate / 1e6, often=often(runs))
    return Section("From a store, over a slow link", about, _HEADINGS, lines, _without_clients())


def lacking() -> str | None:
    """Return what this case needs and does not find, or None."""
    if shutil.which("curl") is None:
        return "curl"
    return None if importlib.util.find_spec("s3fs") else "s3fs"


def _web(url: str, names: Sequence[str], inputs: Inputs) -> list[Row]:
    out, merged = inputs.output("downloads"), inputs.output("merged.st")
    places = [f"{url}/{BUCKET}/{name}" for name in names]
    words = [word for name, place in zip(names, places, strict=True) for word in ("-o", str(out / name), place)]
    return [
        Row("curl", (("curl", "--silent", "--fail", "--parallel", "--create-dirs", *words),), output=out),
        Row("soup, http://", ((*_ONLINE, *merge("soup", places, merged)),), output=merged),
    ]


def _s3(url: str, names: Sequence[str], inputs: Inputs) -> list[Row]:
    out, merged = inputs.output("downloads"), inputs.output("merged.st")
    words = [word for name in names for word in (f"{BUCKET}/{name}", str(out / name))]
    copies = ("aws", "s3", "cp", f"s3://{BUCKET}/", str(out), "--recursive", "--quiet")
    clients = {"s3fs, get": (sys.executable, "-c", _S3FS, *words)} | ({"aws s3 cp": copies} if _has_aws() else {})
    rows = [Row(label, (_with_keys(url, command),), output=out) for label, command in clients.items()]
    command = merge("soup", [f"s3://{BUCKET}/{name}" for name in names], merged)
    return [*rows, Row("soup, s3://", (_with_keys(url, command),), output=merged)]


def _has_aws() -> bool:
    return shutil.which("aws") is not None


def _without_clients() -> str:
    return "" if _has_aws() else "The AWS command line was not there to be measured beside s3fs."


def _with_keys(url: str, command: Command) -> Command:
    keys = {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}
    return (*_ONLINE, *(f"AWS_{name}={value}" for name, value in keys.items()), *command)


def _lines(rows: Sequence[Row], found: Sequence[dict[str, Served]], size: int) -> list[list[str]]:
    walls = {row.label: statistics.median(run[row.label].used.wall for run in found) for row in rows}
    *downloads, _ = walls.values()
    return [_line(row.label, [run[row.label] for run in found], size, walls[row.label], min(downloads)) for row in rows]


def _line(label: str, runs: Sequence[Served], size: int, wall: float, download: float) -> list[str]:
    sent = max(run.sent for run in runs) / size
    peak = max(run.used.peak for run in runs)
    targets = ""
    if label.startswith("soup"):
        kept = [verdict("sent", 1, sent, unit=" x size"), verdict("peak", _MOST_PEAK, peak, unit=" MB")]
        kept += [verdict("wall", _MOST_TIMES, wall / download, unit=" x")] if size >= _SETTLED else []
        targets = "; ".join(kept)
    cpu = statistics.median(run.used.cpu for run in runs)
    requests = str(max(run.requests for run in runs))
    return [
        label,
        f"{wall:.2f}",
        f"{cpu:.2f}",
        f"{peak:.0f}",
        f"{sent:.3f}",
        requests,
        f"{wall / download:.2f}",
        targets,
    ]
