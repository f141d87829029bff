"""The quality benchmark trains, merges, scores and prints its tables; which method is ahead is no matter for tests."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "quality.py"

ROWS = [
    "experts, each on its own task",
    "base",
    "average",
    "task arithmetic, scale 0.3",
    "task arithmetic, scale 1",
    "TIES, density 0.2, scale 1",
    "Fisher",
    "RegMean",
    "RegMean++",
    "task arithmetic, scale chosen",
    "TIES, scale chosen",
]


def run(*arguments):
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def benchmark_modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def tables_of(text):
    """Return the tables of a Markdown text by their first heading, each a list of rows of cells."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        if lines:
            cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
            found.append((cells[0], cells[2:]))
    return found


@pytest.mark.slow
def test_quick_run_prints_every_table_with_sane_accuracies():
    process = run("--quick", "--seeds", "2", "--jobs", "2")

    assert process.returncode == 0, process.stderr
    means = [rows for headings, rows in tables_of(process.stdout) if headings[0] == "model"]
    assert [[row[0] for row in rows] for rows in means] == [ROWS, ROWS]  # two tasks, four tasks
    for row in [row for rows in means for row in rows]:
        low, high = map(float, row[2].split(" to "))
        assert 0 <= float(row[1]) <= 100
        assert low <= float(row[1]) <= high
    experts, base = (float(means[0][number][1]) for number in range(2))
    assert experts > base  # one epoch of fine-tuning is seen on held-out images
    (sweep,) = (rows for headings, rows in tables_of(process.stdout) if headings[0] == "RegMean")
    assert [row[0] for row in sweep] == [
        *(f"factor {factor}, 32 samples" for factor in (0, 0.5, 0.9, 0.95, 1)),
        "factor 0.95, 16 samples",
    ]
    differences = [rows for headings, rows in tables_of(process.stdout) if headings[0] == "difference"]
    assert [len(rows) for rows in differences] == [7, 7]
    assert "python benchmarks/quality.py --quick --seeds 2" in process.stdout
    assert "540 held-out images per task" in process.stdout


@pytest.mark.parametrize("arguments", [("--seeds", "0"), ("--tasks", "5"), ("--tasks", "1")])
def test_impossible_request_is_a_usage_error(arguments):
    process = run(*arguments)

    assert process.returncode == 2
    assert "Traceback" not in process.stderr


@pytest.mark.usefixtures("benchmark_modules")
def test_interval_is_students():
    from quality_tables import interval

    mean, low, high = interval([0.1, 0.2, 0.3])

    # t(0.975; 2 degrees of freedom) is 4.302653; the standard error is 0.1 / sqrt(3).
    assert mean == pytest.approx(0.2)
    assert (low, high) == pytest.approx((0.2 - 4.302653 * 0.1 / 3**0.5, 0.2 + 4.302653 * 0.1 / 3**0.5), abs=1e-6)
    assert np.isnan(interval([0.5])[1:]).all()


@pytest.mark.usefixtures("benchmark_modules")
def test_tasks_keep_train_validation_and_test_apart(tmp_path):
    from digit_tasks import make_tasks

    tasks = make_tasks(tmp_path)
    arrays = {name: np.load(tmp_path / f"{name}.npz") for name in tasks}
    plain = arrays["plain"]

    assert "train_labels" not in plain  # calibration sees images alone
    assert [len(plain[f"{split}_images"]) for split in ("train", "validation", "test")] == [1007, 250, 540]
    assert np.bincount(plain["test_labels"]).min() >= 50
    assert np.array_equal(arrays["inverted"]["test_images"], 1 - plain["test_images"])
    assert np.array_equal(arrays["mirrored"]["test_images"], plain["test_images"][..., ::-1])
    assert np.array_equal(arrays["rotated"]["test_images"][:, 0, 0], plain["test_images"][:, 0, :, -1])
