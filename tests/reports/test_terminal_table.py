"""The table in the terminal: everything that was derived, narrow, and short with many models."""

from __future__ import annotations

from full_report import MODELS, comparison, full_report, result

from merge.evaluation import Evaluation, render_table
from merge.reports.values import metric_difference

PARTS = ("results", "comparisons", "averages", "retention", "corruption", "notes")


def evaluation(**parts):
    report = {key: value for key, value in full_report().items() if key in PARTS}
    return Evaluation(**(report | parts))


def test_every_part_has_its_lines():
    text = render_table(evaluation())
    blocks = [block.splitlines() for block in text.split("\n\n")]
    assert [block[0].split()[0] for block in blocks] == [
        *("benchmark", "benchmark", "average", "benchmark", "corrupted", "note:")
    ]
    assert [len(block) for block in blocks] == [1 + 12, 1 + 4, 1 + 3, 1 + 1, 1 + 3, 1]
    assert blocks[1][1].split() == ["digits", "tuned", "base", "+0.0125", "0.0654", "0.131"]
    assert blocks[2][1].split() == ["2", "benchmarks", "base", "accuracy", "0.8000", "[0.7000,", "0.9500]"]


def test_differences_in_bits_say_so():
    rows = [result(model, metric="perplexity") for model in MODELS[:2]]
    pair = comparison(MODELS[1]) | {"metric": "bits_per_window"}
    assert "+0.0125 bits per window  0.0654" in render_table(Evaluation(results=rows, comparisons=[pair]))
    assert metric_difference(-4.90705, "bits_per_window") == "-4.907 bits per window"


def test_many_models_have_one_line_each():
    rows = [
        result(f"/a/long/way/to/model-{number}", metric=metric)
        for number in range(9)
        for metric in ("accuracy", "loss")
    ]
    lines = render_table(Evaluation(results=rows)).splitlines()
    assert len(lines) == 1 + 9 + 1
    assert lines[1].split()[:4] == ["digits", "model-0", "accuracy", "0.9000"]
    assert lines[-1] == "9 more values: with --report DIR or --json"
    assert max(map(len, lines)) < 80


def test_corrupted_benchmarks_are_counted_and_not_listed():
    rows = [result(MODELS[0]), *(result(MODELS[0], f"digits/fog/{severity}") for severity in range(1, 6))]
    pairs = [comparison(MODELS[1], name) for name in ("digits", "digits/fog/1")]
    text = render_table(Evaluation(results=rows, comparisons=pairs, notes=["digits/fog/1, a: slow", "digits, a: slow"]))
    assert "fog" not in text
    assert "5 more values" in text
    assert text.endswith("note: digits, a: slow")


def test_a_benchmark_with_slashes_of_its_own_is_listed():
    rows = [result(MODELS[0], "glue/sst2/3"), result(MODELS[0], "other")]
    assert "glue/sst2/3" in render_table(Evaluation(results=rows))
