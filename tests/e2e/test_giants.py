"""A mixture of experts of 1.5 TB in 200 files: what the plan says of it, and how little memory that takes. No clock."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment

from benchmarks.giant_layouts import Giant, layout, nbytes, write_giant

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sparse files and /proc")

GIANT = Giant()
MOST = 500 * 10**6  # bytes of memory
MEASURE = """
import re, sys
from merge.cli import main
code = main(sys.argv[1:])
print(code, int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024, file=sys.stderr)
print(*sorted({"torch", "numpy"} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def giants(tmp_path_factory):
    """Two models of each kind."""
    folder = tmp_path_factory.mktemp("giants")
    for kind, scaled in (("bf16", False), ("fp8", True)):
        for name in ("one", "two"):
            write_giant(folder / kind / name, GIANT, scaled=scaled)
    yield folder
    shutil.rmtree(folder)


def planned(giants: Path, *arguments: str) -> tuple[dict, int, str]:
    """Return a plan, the peak memory in bytes, and which heavy libraries were imported, of a process of its own."""
    command = [sys.executable, "-c", MEASURE, *arguments, "-o", "out", "--dry-run", "--json"]
    found = subprocess.run(command, cwd=giants, env=environment(), capture_output=True, text=True, check=True)
    *_, measured, heavy = found.stderr.splitlines()
    return json.loads(found.stdout), int(measured.split()[1]), heavy


def test_the_layouts_are_as_large_as_promised():
    assert nbytes(layout(GIANT, scaled=False)) > 1.5e12
    assert sum(dtype == "F8_E4M3" for dtype, _ in layout(GIANT, scaled=True).values()) > 47_000


@pytest.mark.slow
@pytest.mark.parametrize(("method", "passes"), [("soup", 1), ("ties", 3)])
def test_a_plan_of_bfloat16(giants, method, passes):
    models = ("bf16/two", "--base", "bf16/one") if method == "ties" else ("bf16/one", "bf16/two")
    plan, peak, heavy = planned(giants, method, *models)
    entries = layout(GIANT, scaled=False)
    assert peak < MOST
    assert heavy == ""
    assert plan["counts"] == {"merge": len(entries), "skip": 0}
    assert plan["bytes_read"] == 2 * nbytes(entries)
    assert plan["bytes_written"] == nbytes(entries) == plan["estimate"]["disk"]["needed"]
    assert plan["reads"] == passes
    assert {tensor["name"]: tuple(tensor["shape"]) for tensor in plan["tensors"]} == {
        name: shape for name, (_, shape) in entries.items()
    }
    assert plan["estimate"]["memory"]["total"] < 10**9
    assert plan["estimate"]["placement"] is None  # nothing was measured, so nothing is guessed


@pytest.mark.slow
def test_a_plan_of_8_bits_with_a_base_of_16(giants):
    plan, peak, heavy = planned(giants, "ties", "fp8/one", "fp8/two", "--base", "bf16/one")
    scaled, plain = layout(GIANT, scaled=True), layout(GIANT, scaled=False)
    assert peak < MOST
    assert heavy == ""
    assert plan["counts"] == {"merge": len(plain), "skip": 0}
    assert plan["bytes_read"] == 2 * nbytes(scaled) + nbytes(plain)
    assert plan["bytes_written"] == nbytes(plain)
    assert {tensor["dtype"] for tensor in plan["tensors"]} == {"BF16"}
    assert len([note for note in plan["notes"] if "8-bit floats with scales" in note]) == 2


def test_shards_fill_up_evenly(giants):
    sizes = [path.stat().st_size for path in (giants / "fp8" / "one").glob("*.safetensors")]
    assert len(sizes) == GIANT.shards
    assert max(sizes) < 2 * math.fsum(sizes) / len(sizes) + 2e9
    assert sum(path.stat().st_blocks for path in (giants / "fp8" / "one").iterdir()) * 512 < 100e6
