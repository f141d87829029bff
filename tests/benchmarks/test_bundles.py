"""The benchmark of merging at inference time prints its tables, and its figures are what it says they are."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.usefixtures("benchmark_modules")


@pytest.mark.slow
def test_quick_run_prints_every_table():
    command = [sys.executable, BENCHMARKS / "bundles.py", "--quick", "--only", "open_clip"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    headings = [line for line in process.stdout.splitlines() if line.startswith("###")]
    assert headings == ["### Time", "### Memory", "### What was wanted"]
    assert process.stdout.count("| CLIP image tower/32 (open_clip)") == 2
    assert "| modules " in process.stdout
    assert "python benchmarks/bundles.py --quick --only open_clip" in process.stdout


def test_figures_and_verdicts():
    from bundles import _verdicts
    from bundles_cost import Cost

    within = Cost("modules", forward=2.0, per_sample=4.0, per_batch=3.0, weights=100, one=150, two=260)
    assert (within.t3, within.t3_batch) == (4.0, 3.5)
    assert within.models == pytest.approx(2.1)  # 260 less 50 of activations
    beyond = within._replace(per_sample=7.0, two=310)
    assert [row[2:] for row in _verdicts({"a": within})] == [["4.00", "met"], ["2.10", "met"]]
    assert [row[2:] for row in _verdicts({"a": within, "b": beyond})] == [["5.50", "NOT met"], ["2.60", "NOT met"]]
