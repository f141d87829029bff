"""The streaming benchmark runs and prints its table; what it measures is no matter for tests."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "streaming.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="times processes with os.wait4")


def test_quick_run_prints_the_table_and_cleans_up(tmp_path):
    section = tmp_path / "section.md"
    folder = tmp_path / "work"
    folder.mkdir()
    command = [sys.executable, SCRIPT, "--quick", "--case", "soup", "--folder", folder, "--markdown", section]
    process = subprocess.run(command, capture_output=True, text=True, check=False)

    assert process.returncode == 0, process.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in process.stdout.splitlines() if "|" in line]
    labels = [cells[0] for cells in rows]
    assert labels[2:] == ["Y, 2 x bf16", "soup, 2 x bf16", "soup, 2 x bf16, with fsync"]
    assert all(float(number) > 0 for cells in rows[2:] for number in cells[1:4])
    assert "peak ≤ 100 MB" in rows[3][-1]
    assert "--gigabytes 0.05 --runs 1 --case soup" in section.read_text(encoding="utf-8")
    assert list(folder.iterdir()) == []


def test_unknown_case_is_a_usage_error():
    process = subprocess.run([sys.executable, SCRIPT, "--case", "none"], capture_output=True, text=True, check=False)

    assert process.returncode == 2
    assert "small-tensors" in process.stderr
