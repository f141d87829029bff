"""Every number that a report prints, computed again from the raw counts in ``results.json`` without this package."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from page_tables import markdown_tables
from scipy.stats import binom, norm

Z = norm.ppf(0.975)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def wilson(right, n):
    share, square = right / n, Z * Z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z / (1 + square / n) * np.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return middle - half, middle + half


def mover(shares, intervals):
    lows, highs = np.transpose(intervals)
    mean = np.mean(shares)
    below = np.sqrt(np.sum((np.array(shares) - lows) ** 2)) / len(shares)
    above = np.sqrt(np.sum((highs - np.array(shares)) ** 2)) / len(shares)
    return mean, max(0.0, mean - below), min(1.0, mean + above)


def holm(p_values):
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(1, np.array(p_values)[order] * np.arange(len(p_values), 0, -1))
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(steps)
    return corrected


def calibration_error(bins):
    n = sum(one["n"] for one in bins)
    return sum(one["n"] / n * abs(one["right"] / one["n"] - one["confidence"]) for one in bins)


def percent(share):
    return f"{100 * share:.2f} %"


def interval(low, high):
    return f"{100 * low:.2f} to {100 * high:.2f} %"


class Recomputed:
    """The numbers of one model on one benchmark, from its counts by class and its calibration bins."""

    def __init__(self, details):
        self.classes, self.bins = details["classes"], details["calibration"]
        self.right, self.n = (sum(one[key] for one in self.classes) for key in ("right", "n"))
        self.accuracy = self.right / self.n
        self.interval = wilson(self.right, self.n)
        shares = [one["right"] / one["n"] for one in self.classes]
        self.per_class = mover(shares, [wilson(one["right"], one["n"]) for one in self.classes])


@pytest.fixture(scope="module")
def document(evaluated):
    return evaluated.document


@pytest.fixture(scope="module")
def recomputed(document):
    return {(row["model"], row["benchmark"]): Recomputed(row) for row in document["details"]}


def short(model):
    return Path(model).name


def rows_of(document, benchmark, metric):
    return [row for row in document["results"] if (row["benchmark"], row["metric"]) == (benchmark, metric)]


def test_counts_give_accuracies_and_their_intervals(document, recomputed):
    rows = [row for row in document["results"] if row["metric"] == "accuracy"]
    assert len(rows) == len(recomputed) == 6
    for row in rows:
        ours = recomputed[row["model"], row["benchmark"]]
        assert (row["n"], row["value"]) == (ours.n, ours.accuracy)
        assert row["interval"] == pytest.approx(ours.interval, abs=1e-12)
        assert sum(one["right"] for one in ours.bins) == ours.right


def test_counts_give_accuracies_by_class(document, recomputed):
    for row in document["results"]:
        if row["metric"] == "per_class_accuracy":
            ours = recomputed[row["model"], row["benchmark"]]
            assert [row["value"], *row["interval"]] == pytest.approx(ours.per_class, abs=1e-12)
    for ours in recomputed.values():
        for one in ours.classes:
            assert one["interval"] == pytest.approx(wilson(one["right"], one["n"]), abs=1e-12)


def test_bins_give_the_calibration_error(document, recomputed):
    for row in document["results"]:
        if row["metric"] == "calibration_error":
            bins = recomputed[row["model"], row["benchmark"]].bins
            assert row["value"] == pytest.approx(calibration_error(bins), abs=1e-12)


def test_disagreements_give_p_values(document, recomputed):
    rows = document["comparisons"]
    assert len(rows) == 4
    for row in rows:
        ours, theirs = row["only_model_right"], row["only_reference_right"]
        expected = min(1.0, 2 * binom.cdf(min(ours, theirs), ours + theirs, 0.5))
        assert row["p_value"] == pytest.approx(expected, rel=1e-9)
        assert row["difference"] == pytest.approx((ours - theirs) / row["n"], abs=1e-12)
        apart = [recomputed[row[key], row["benchmark"]].right for key in ("model", "reference")]
        assert ours - theirs == apart[0] - apart[1]
    corrected = holm([row["p_value"] for row in rows])
    assert [row["p_value_holm"] for row in rows] == pytest.approx(corrected, rel=1e-9)


def test_benchmarks_give_averages(document, recomputed):
    rows = document["averages"]
    assert {row["metric"] for row in rows} == {"accuracy", "per_class_accuracy"}
    for row in rows:
        parts = [recomputed[row["model"], benchmark] for benchmark in row["benchmarks"]]
        if row["metric"] == "accuracy":
            expected = mover([part.accuracy for part in parts], [part.interval for part in parts])
        else:
            expected = mover([part.per_class[0] for part in parts], [part.per_class[1:] for part in parts])
        assert [row["value"], *row["interval"]] == pytest.approx(expected, abs=1e-12)


def test_counts_give_retention(document, recomputed):
    rows = document["retention"]
    assert len(rows) == 2
    paired = {row["model"]: row for row in document["comparisons"] if row["benchmark"] == "red"}
    for row in rows:
        ours, expert = (recomputed[row[key], "red"] for key in ("model", "expert"))
        assert row["value"] == pytest.approx(ours.right / expert.right, rel=1e-12)
        if row["model"] == paired[row["expert"]]["reference"]:  # the pair that the report has the counts of
            apart = paired[row["expert"]]["only_model_right"] + paired[row["expert"]]["only_reference_right"]
            reach = np.exp(Z * np.sqrt((apart + 1) / ((ours.right + 0.5) * (expert.right + 0.5))))
            centre = (ours.right + 0.5) / (expert.right + 0.5)
            assert row["interval"] == pytest.approx([centre / reach, centre * reach], rel=1e-9)


def test_main_tables(evaluated, document, recomputed):
    for benchmark in ("red", "blue"):
        rows = evaluated.page.tables[f"Accuracy on {benchmark}"]
        assert rows[0][:4] == ["Model", "Accuracy", "95 % interval", "n"]
        for row, shown in zip(rows_of(document, benchmark, "accuracy"), rows[1:], strict=True):
            ours = recomputed[row["model"], benchmark]
            numbers = [percent(ours.accuracy), interval(*ours.interval), str(ours.n)]
            assert shown == [short(row["model"]), *numbers, "none", "5"]


def test_tables_of_all_metrics(evaluated, document, recomputed):
    for benchmark in ("red", "blue"):
        shown = {(row[0], row[1]): row[2:5] for row in evaluated.page.tables[f"All metrics on {benchmark}"][1:]}
        assert len(shown) == 12
        for (model, name), ours in recomputed.items():
            if name != benchmark:
                continue
            per_class, error = ours.per_class, calibration_error(ours.bins)
            assert shown[short(model), "Accuracy"][0] == percent(ours.accuracy)
            assert shown[short(model), "Per class accuracy"][:2] == [percent(per_class[0]), interval(*per_class[1:])]
            assert shown[short(model), "Calibration error"][0] == percent(error)
        for row in rows_of(document, benchmark, "loss"):  # the one number that counts cannot give
            ends = [f"{end:.4g}" for end in row["interval"]]
            assert shown[short(row["model"]), "Loss"] == [f"{row['value']:.4g}", " to ".join(ends), str(row["n"])]


def test_tables_of_classes_and_bins(evaluated, recomputed):
    for (model, benchmark), ours in recomputed.items():
        table = evaluated.page.tables[f"Accuracy on {benchmark} by class"]
        column = table[0].index(short(model))
        shown = [(row[0], row[1], row[column]) for row in table[1:]]
        assert shown == [
            (str(one["label"]), str(one["n"]), f"{percent(one['right'] / one['n'])} ({one['right']}/{one['n']})")
            for one in ours.classes
        ]
        rows = [row[1:] for row in evaluated.page.tables[f"Calibration bins on {benchmark}"] if row[0] == short(model)]
        assert rows == [bin_cells(one) for one in ours.bins]


def bin_cells(one):
    share = one["right"] / one["n"]
    counts = [str(one["n"]), str(one["right"])]
    gap = f"{100 * (share - one['confidence']):+.2f} points"
    return [percent(one["low"]), percent(one["high"]), *counts, percent(share), percent(one["confidence"]), gap]


def test_table_of_paired_tests(evaluated, document):
    rows = evaluated.page.tables["Paired tests against one"][1:]
    counts = [(row["only_model_right"], row["only_reference_right"]) for row in document["comparisons"]]
    p_values = [min(1.0, 2 * binom.cdf(min(pair), sum(pair), 0.5)) for pair in counts]
    for shown, row, pair, p_value, corrected in zip(
        rows, document["comparisons"], counts, p_values, holm(p_values), strict=True
    ):
        difference = f"{100 * (pair[0] - pair[1]) / row['n']:+.2f} points"
        assert shown == [
            *(short(row["model"]), row["benchmark"], difference, f"{corrected:.3g}", f"{p_value:.3g}"),
            *(str(pair[0]), str(pair[1]), str(row["n"]), row["test"]),
        ]


def test_tables_over_benchmarks(evaluated, document, recomputed):
    tables = evaluated.page.tables
    matrix = tables["Main metric by model and benchmark"]
    assert matrix[0] == ["Model", "red: accuracy", "blue: accuracy"]
    models = list(dict.fromkeys(model for model, _ in recomputed))
    for model, shown in zip(models, matrix[1:], strict=True):
        assert shown == [short(model), *(percent(recomputed[model, name].accuracy) for name in ("red", "blue"))]
    for shown, row in zip(tables["Averages over benchmarks"][1:], document["averages"], strict=True):
        parts = [recomputed[row["model"], name] for name in ("red", "blue")]
        per_class = row["metric"] == "per_class_accuracy"
        shares = [part.per_class[0] if per_class else part.accuracy for part in parts]
        value, low, high = mover(shares, [part.per_class[1:] if per_class else part.interval for part in parts])
        assert shown[2:] == [percent(value), interval(low, high), "2"]
    for shown, row in zip(tables["Retention"][1:], document["retention"], strict=True):
        ratio = recomputed[row["model"], "red"].right / recomputed[row["expert"], "red"].right
        assert shown[4:] == [percent(ratio), interval(*row["interval"])]


def test_table_of_times(evaluated, document):
    rows = evaluated.page.tables["Time by model and benchmark, with loading"][1:]
    for shown, row in zip(rows, document["timings"], strict=True):
        time = row["seconds"]
        assert shown[2] == (f"{1000 * time:.0f} ms" if time < 1 else f"{time:.1f} s")
        assert shown[3] == f"{row['items_per_second']:.4g}"
        peak = row["peak_memory_bytes"] / 1e6
        assert shown[4] == (f"{peak:.3g} MB" if peak < 1000 else f"{peak / 1000:.3g} GB")


def test_no_table_is_left_out_above(evaluated):
    by_benchmark = ("Accuracy on {}", "All metrics on {}", "Accuracy on {} by class", "Calibration bins on {}")
    known = {caption.format(name) for caption in by_benchmark for name in ("red", "blue")}
    known |= {"Main metric by model and benchmark", "Averages over benchmarks", "Paired tests against one", "Retention"}
    texts = {"Provenance", "Versions"}  # names, locations, content ids: no numbers
    assert set(evaluated.page.tables) == known | texts | {"Time by model and benchmark, with loading"}
    listed = {tuple(row) for row in evaluated.page.tables["Provenance"][1:]}
    assert listed == {(one["name"], one["location"], one["content_id"]) for one in evaluated.document["models"]}


def test_markdown_has_the_same_tables(evaluated):
    assert markdown_tables(evaluated.markdown) == list(evaluated.page.tables.values())


def test_numbers_in_sentences_and_plots_are_those_of_the_tables(evaluated):
    tables = evaluated.page.tables
    known = {number for rows in tables.values() for row in rows for cell in row for number in NUMBER.findall(cell)}
    known |= {f"{row['p_value_holm']:.2g}" for row in evaluated.document["comparisons"]}
    known |= {"95", str(len(evaluated.document["comparisons"]))}
    assert len(evaluated.page.summary) >= 4
    for sentence in evaluated.page.summary:
        assert set(NUMBER.findall(sentence)) <= known, sentence
    values = [text for text in evaluated.page.labels if "%" in text and "(" in text]
    assert len(values) == 9  # three models: on average, on red, on blue
    for text in values:
        assert set(NUMBER.findall(text)) <= known, text
