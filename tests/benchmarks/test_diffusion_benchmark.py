"""The benchmark of Stable Diffusion files runs; merges of them stay within the memory that a soup may take."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "diffusion.py"
MOST = 100  # MB

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="times processes with os.wait4")


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_peak_memory_of_scaled_models(tmp_path: Path, family: str) -> None:
    section = tmp_path / "section.md"
    folder = tmp_path / "work"
    folder.mkdir()
    scale = {"sd1": "4", "sdxl": "8"}[family]  # files of 0.13 and 0.11 GB
    command = [sys.executable, SCRIPT, "--scale", scale, "--runs", "1", "--family", family]
    process = subprocess.run(
        [*command, "--folder", folder, "--markdown", section], capture_output=True, text=True, check=False
    )

    assert process.returncode == 0, process.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in process.stdout.splitlines() if "|" in line]
    peaks = {cells[0].split(" (")[0]: float(cells[3]) for cells in rows[2:]}
    merges = {label: peak for label, peak in peaks.items() if not label.startswith("Y, ")}
    assert merges.keys() == {
        "soup of two",
        "soup of two by blocks",
        "add difference",
        "ties, base + 2",
        "LoRA of rank 32 baked in",
    }
    assert max(merges.values()) < MOST, merges
    assert f"--scale {scale} --family {family}" in section.read_text(encoding="utf-8")
    assert list(folder.iterdir()) == []


def test_a_scale_that_divides_no_width_is_a_usage_error() -> None:
    process = subprocess.run([sys.executable, SCRIPT, "--scale", "3"], capture_output=True, text=True, check=False)

    assert process.returncode == 2
    assert "power of two" in process.stderr
