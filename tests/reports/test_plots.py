"""Scales, short names and the parts of plots that a reader relies on."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from merge.reports.names import Names
from merge.reports.plots.bars import Bar, bars
from merge.reports.plots.intervals import Interval, intervals
from merge.reports.plots.lines import Line, lines
from merge.reports.plots.scale import from_zero, scale_over
from merge.reports.plots.strips import Strip, strips
from merge.reports.values import metric_range, metric_value, number, percent, seconds, size


@pytest.mark.parametrize(
    "values", [(0.1, 0.9), (0.97961, 0.97962), (-3e5, 7e8), (0.0, 1e-7), (5.0, 5.0), (0.0, 0.0), (-2, -1)]
)
def test_scales_hold_their_values_and_have_round_ticks(values):
    for scale in (scale_over(values), from_zero(values)):
        assert scale.low < scale.high
        assert 1 <= len(scale.ticks) <= 4
        assert all(scale.low - 1e-9 * abs(scale.low) <= tick <= scale.high * (1 + 1e-9) for tick in scale.ticks)
        assert all(0 <= scale.place(value) <= 1 for value in values)
        texts = [scale.text(tick) for tick in scale.ticks]
        assert len(set(texts)) == len(texts)
        assert [float(text) for text in texts] == pytest.approx(list(scale.ticks), rel=1e-6, abs=1e-12)


def test_shares_stay_between_0_and_1():
    scale = scale_over([0.001, 0.999], least=0.0, greatest=1.0)
    assert (scale.low, scale.high) == (0.0, 1.0)


def test_the_best_row_stands_out_and_places_are_in_order():
    rows = [Interval("a", 0.5, 0.4, 0.6, "50 %"), Interval("b", 0.7, 0.6, 0.8, "70 %", best=True)]
    drawn = intervals("Accuracy", rows, "accuracy, %", 100, bound=True)
    places = [float(place) for place in re.findall(r'cx="([\d.]+)%"', drawn)]
    assert places[0] < places[1]
    assert drawn.count('class="dot best"') == 1
    assert "<desc>a: 50 %; b: 70 %</desc>" in drawn


def test_bars_below_zero_end_at_zero():
    drawn = bars("Weights", [Bar("a", -1.0, "-1"), Bar("b", 3.0, "3")], "weight")
    (x_one, width_one), (x_two, _) = re.findall(r'<rect x="([\d.]+)%" y="\d+" width="([\d.]+)%"', drawn)
    assert float(x_one) + float(width_one) == pytest.approx(float(x_two), abs=0.01)


def test_steps_hold_until_the_next_point():
    drawn = lines("Greedy", [Line("best", [(1, 0.0), (2, 1.0), (3, 1.0)], stepped=True)], "step", "score")
    points = [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]+)"', drawn)[1].split()]
    assert all(one[0] == two[0] or one[1] == two[1] for one, two in pairwise(points))


def test_one_point_is_a_plot():
    assert "<polyline" in lines("Search", [Line("digits", [(0, 0.8)])], "trial", "score")


@pytest.mark.parametrize(("count", "shown"), [(8, True), (9, False)])
def test_cells_show_their_numbers_where_there_is_room(count, shown):
    drawn = strips("Norms", [Strip("model", [0.125] * count)], [f"layer-{number}" for number in range(count)], 1.0)
    assert (">0.125</text>" in drawn) is shown
    assert drawn.count("model, layer-0: 0.125") == 1


def test_negative_cells_and_missing_ones_look_different():
    drawn = strips("Cosines", [Strip("pair", [0.5, -0.5, None])], ["a", "b", "c"], 1.0)
    assert re.findall(r'class="cell (\w+)"', drawn) == ["positive", "negative", "empty"]


@pytest.mark.parametrize(
    ("given", "short"),
    [
        (["/a/b/soup", "/a/b/base"], ["soup", "base"]),
        (["/a/x/soup", "/a/y/soup", "base"], ["x/soup", "y/soup", "base"]),
        (["a", "./a//", "b"], ["a", "./a", "b"]),
        (["a", "a//"], ["a", "a//"]),
        (["runs/a", "a"], ["runs/a", "a"]),
        ([r"C:\runs\one", "org/two@main"], ["one", "two@main"]),
        (["/", "one"], ["/", "one"]),
        ([], []),
    ],
)
def test_short_names_tell_models_apart(given, short):
    names = Names(given)
    assert [names(model) for model in given] == short
    assert names("somebody else") == "somebody else"


def test_numbers_for_people():
    assert percent(0.97962).replace("\N{NO-BREAK SPACE}", " ") == "97.96 %"
    assert metric_value(12.34567, "perplexity") == "12.35"
    assert metric_range([1.23456, 2.0], "loss") == "1.235 to 2"
    assert [seconds(value) for value in (0.0123, 41.23, 240)] == ["12 ms", "41.2 s", "4.0 min"]
    assert [size(value) for value in (12, 1234, 2.5e9, 3e15)] == ["12 B", "1.23 kB", "2.5 GB", "3e+03 TB"]
    assert [number(value) for value in (123456.0, 0.000012345, 0)] == ["123456", "1.234e-05", "0"]


def greedy_plot(steps):
    from full_report import greedy

    from merge.reports.chapters.greedy import greedy as chapter

    found = greedy(same=False) | {"steps": steps}
    (section,) = chapter({"greedy": found}, Names([]))
    return section.blocks[0].drawings[0]


def test_the_staircase_begins_with_the_best_model_alone():
    step = {"model": "b", "members": ["a", "b"], "score": 0.7, "best_before": 0.8, "accepted": False, "interval": None}
    drawn = greedy_plot([step])
    assert "member-1 alone" in drawn
    heights = {pair.split(",")[1] for pair in re.search(r'points="([^"]+)"', drawn)[1].split()}
    assert len(heights) == 1  # nothing was gained
    assert drawn.count("hollow") == 1
