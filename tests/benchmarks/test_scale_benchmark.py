"""The benchmark of stores, workers and Ray: its parts do what they say, and a quick run prints its tables."""

import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="times processes with os.wait4")

pytestmark = pytest.mark.usefixtures("benchmark_modules")


@pytest.fixture
def served(tmp_path):
    """A folder with one file, and its server without a limit."""
    from scale_store import serving

    (tmp_path / "a b.bin").write_bytes(bytes(range(256)) * 4)
    with serving(tmp_path, 0) as server:
        yield server


def ask(address, **headers):
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return answer.status, dict(answer.headers), answer.read()


def test_the_server_sends_ranges_and_counts_them(served):
    address = f"{served.url}/models/a%20b.bin"
    status, headers, data = ask(address, Range="bytes=10-19")
    assert (status, headers["Content-Range"], data) == (206, "bytes 10-19/1024", bytes(range(10, 20)))
    assert ask(address, Range="bytes=1020-")[2] == bytes(range(252, 256))
    assert ask(address)[::2] == (200, bytes(range(256)) * 4)
    assert served.counts() == (10 + 4 + 1024, 3)
    assert served.counts() == (0, 0)
    with pytest.raises(urllib.error.HTTPError, match="416"):
        ask(address, Range="bytes=1024-")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(f"{served.url}/models/none")


def test_the_server_speaks_s3(served):
    s3fs = pytest.importorskip("s3fs")
    known = {"endpoint_url": served.url, "key": "key", "secret": "secret"}
    filesystem = s3fs.S3FileSystem(**known, client_kwargs={"region_name": "us-east-1"}, skip_instance_cache=True)
    assert filesystem.ls("models") == ["models/a b.bin"]
    assert filesystem.info("models/a b.bin")["size"] == 1024
    assert filesystem.cat_file("models/a b.bin", start=3, end=5) == b"\x03\x04"


def test_the_limit_counts_over_all_connections():
    from concurrent.futures import ThreadPoolExecutor

    from scale_served import Link

    link = Link(1e6)
    started = time.monotonic()
    with ThreadPoolExecutor(4) as connections:
        list(connections.map(link.take, [20_000] * 15))
    assert 0.2 < time.monotonic() - started < 2  # 0.3 MB at 1 MB/s, of which a little may come at once


def test_the_model_is_its_formula():
    from scale_model import SHARDS, Assumed, Measured, model

    measured, assumed = (
        Measured(start=1, shard=0.5, gigabytes=0.5),
        Assumed(link=4, store=50, per_machine=16, task=0.02),
    )
    assert model(measured, assumed, 1) == (1 + SHARDS * 0.5, "processor")
    assert model(measured, assumed, 16) == (1 + SHARDS * 16 * 0.5 / 4, "link")
    assert model(measured, assumed, 64) == model(measured, assumed, 16)  # of four machines, each with its link
    assert model(measured, assumed, 1024) == (1 + SHARDS * 1024 * 0.02, "coordinator")
    assert model(measured, assumed._replace(task=0), 1024) == (1 + SHARDS * 1024 * 0.5 / 50, "store")


def test_verdicts():
    from scale_table import verdict

    assert verdict("wall", 1.3, 1.0412, unit=" x") == "wall ≤ 1.3 x: 1.04, met"
    assert verdict("workers", 1.6, 1.5, at_least=True) == "workers ≥ 1.6: 1.5, NOT met"


@pytest.mark.slow
def test_quick_run_prints_every_section_and_cleans_up(tmp_path):
    pytest.importorskip("s3fs")
    folder, section = tmp_path / "work", tmp_path / "section.md"
    folder.mkdir()
    words = ["--quick", "--case", "store", "weak-scaling", "--folder", folder, "--markdown", section]
    process = subprocess.run(
        [sys.executable, BENCHMARKS / "scale.py", *words], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in process.stdout.splitlines() if line.startswith("|")
    ]
    merged = [row for row in rows if row[0].startswith("soup, ")]
    assert [row[0] for row in merged] == ["soup, http://", "soup, s3://"]
    assert all(row[4] == "1.000" for row in merged)  # each byte once
    assert all("sent ≤ 1 x size: 1, met" in row[-1] for row in merged)
    assert [row for row in rows if row[:2] == ["1,024", "64"]]
    assert "python benchmarks/scale.py --gigabytes 0.02 --runs 1 --case store weak-scaling" in section.read_text(
        "utf-8"
    )
    assert list(folder.iterdir()) == []
