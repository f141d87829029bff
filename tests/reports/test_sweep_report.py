"""The report of a sweep: a line for every benchmark against the option's values."""

from __future__ import annotations

import pytest

from merge.reports.document import document
from merge.reports.render import html, markdown


def row(model, value):
    return {
        "model": model,
        "benchmark": "digits",
        "metric": "accuracy",
        "value": value,
        "n": 100,
        "seed": 0,
        "interval": [value - 0.05, value + 0.05],
        "data_use": "none",
        "split": "test",
        "head": "own",
        "identity": model,
    }


@pytest.fixture
def report():
    points = [
        {"model": f"o-{value}.st", "value": value, "parameters": 1000 * (1 + place)}
        for place, value in enumerate((0.0, 0.5, 1.0))
    ]
    models = [*(point["model"] for point in points), "a.st"]
    rows = [row(model, 0.5 + 0.1 * place) for place, model in enumerate(models)]
    return {"results": rows, "sweep": {"option": "budget", "points": points, "references": ["a.st"]}}


def section(report):
    return next(one for one in document(report).sections if one.title.startswith("Sweep"))


def test_the_metric_is_drawn_against_the_option_and_the_parameters(report):
    found = section(report)
    plots = [block for block in found.blocks if block.kind == "plot"]
    assert [plot.caption for plot in plots] == [
        "Accuracy on digits against budget, with 95 % intervals",
        "Accuracy on digits against parameters, with 95 % intervals",
    ]
    assert all("polygon" in plot.drawings[0] for plot in plots)
    assert [name for _, name in plots[0].legend] == ["digits by budget", "a.st"]
    (table,) = (block for block in found.blocks if block.kind == "table")
    assert [[cell.text for cell in cells][:3] for cells in table.rows] == [
        ["0", "o-0.0.st", "50.00\N{NO-BREAK SPACE}%"],
        ["0.5", "o-0.5.st", "60.00\N{NO-BREAK SPACE}%"],
        ["1", "o-1.0.st", "70.00\N{NO-BREAK SPACE}%"],
    ]


def test_one_size_has_no_second_plot(report):
    for point in report["sweep"]["points"]:
        point["parameters"] = 1000
    assert sum(block.kind == "plot" for block in section(report).blocks) == 1


def test_both_forms_show_it(report):
    assert "Sweep of budget" in markdown(document(report))
    assert "against parameters" in html(document(report))


def test_one_point_is_no_sweep(report):
    report["sweep"]["points"] = report["sweep"]["points"][:1]
    assert not [one for one in document(report).sections if one.title.startswith("Sweep")]
