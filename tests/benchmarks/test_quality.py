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

pytestmark = pytest.mark.usefixtures("benchmark_modules")


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
    command = [sys.executable, SCRIPT, "--quick", "--seeds", "1"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)

    assert process.returncode == 0, process.stderr
    tables = tables_of(process.stdout)
    means = [rows for headings, rows in tables if headings[0] == "model"]
    assert [[row[0] for row in rows] for rows in means] == [ROWS, ROWS]  # two tasks, four tasks
    assert all(0 <= float(row[1]) <= 100 for rows in means for row in rows)
    assert float(means[0][0][1]) > 15  # one epoch is better than chance
    assert len({row[1] for row in means[0]}) > 5  # the rows are different models
    (sweep,) = (rows for headings, rows in tables if headings[0] == "RegMean")
    factors = [f"factor {factor}, 32 samples" for factor in (0, 0.5, 0.9, 0.95, 1)]
    assert [row[0] for row in sweep] == [*factors, "factor 0.95, 16 samples"]
    by_itself = dict(zip(factors, [row[1] for row in sweep], strict=False))
    assert by_itself["factor 0.95, 32 samples"] == means[0][ROWS.index("RegMean")][1]  # the default factor
    assert "python benchmarks/quality.py --quick --seeds 1" in process.stdout
    assert "Seeds: 1. Held-out images per task: 540. Images per task for statistics: 32." in process.stdout


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--tasks", "5"], ["--tasks", "1"], ["--jobs", "none"]])
def test_impossible_request_is_a_usage_error(words):
    from quality import parse

    with pytest.raises(SystemExit) as stopped:
        parse(words)
    assert stopped.value.code == 2


def test_flags_are_what_is_run():
    from quality import parse

    default, given = parse([]), parse(["--seeds", "2", "--tasks", "3", "3", "--jobs", "9", "--quick"])

    assert (default.seeds, default.tasks, default.quick) == (5, [2, 4], False)
    assert (given.seeds, given.tasks, given.jobs, given.quick) == (2, [3], 2, True)


def test_tables_pair_rows_by_seed():
    from quality import sections
    from quality_trial import Trial

    def trial(average, regmean):
        accuracies = dict.fromkeys(ROWS, 0.5) | {"average": average, "RegMean": regmean}
        scores = {label: {("plain", "rotated"): value} for label, value in accuracies.items()}
        return Trial({2: scores}, {2: {"TIES, scale chosen": [average]}}, {"factor 1": scores["RegMean"]})

    trials = [trial(0.4, 0.41), trial(0.6, 0.62), trial(0.8, 0.83)]
    tables = tables_of("\n\n".join(sections(trials, [2])))

    means, differences, sweep = ({row[0]: row[1:] for row in rows} for _, rows in tables)
    assert means["average"] == ["60.0", "10.3 to 109.7"]
    paired = "+2.0 (-0.5 to +4.5)"  # 4.302653 / sqrt(3) points around the mean: the pairs differ by 1, 2 and 3
    assert differences["RegMean minus average"] == [paired, "3 of 3"]
    assert sweep["factor 1"] == ["62.0", "9.8 to 114.2", paired]


def test_interval_is_students():
    from quality_tables import interval

    mean, low, high = interval([0.1, 0.2, 0.3])

    # t(0.975; 2 degrees of freedom) is 4.302653; the standard error is 0.1 / sqrt(3).
    assert mean == pytest.approx(0.2)
    assert (low, high) == pytest.approx((0.2 - 4.302653 * 0.1 / 3**0.5, 0.2 + 4.302653 * 0.1 / 3**0.5), abs=1e-6)
    assert np.isnan(interval([0.5])[1:]).all()


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
