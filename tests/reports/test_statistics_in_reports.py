"""What reports say of merges that learned from data: statistics are no models, and the method is the user's."""

from __future__ import annotations

import pytest

from merge.reports.chapters.statistics import statistics
from merge.reports.names import Names
from merge.reports.rows import is_model
from merge.reports.summary import _merged

ROLES = ("base", "model 1", "model 2", "gram of model 1", "gram of model 2", "permutations of model 2")
OTHERS = ("model 2 before it is aligned", "what model 2 is aligned to", "fisher of model 1", "statistics", "")


@pytest.mark.parametrize("role", OTHERS)
def test_only_models_are_models(role):
    assert is_model("model 12")
    assert not is_model(role)


def report(**about: object) -> dict:
    files = [{"role": f"gram of model {number}", "file": "gram.st", "about": about} for number in (1, 2)]
    return {
        "models": [{"name": role} for role in ROLES],
        "merge": {"recipe": {"merge": "regmean"}},
        "statistics": {"files": files, "counts": {"regressed": 1}, "tensors": []},
    }


def test_statistics_are_not_counted_as_models():
    assert _merged(report()) == ["2 models and their base merged by regmean."]


def test_regmean_pp_is_named():
    (told,) = _merged(report(method="regmean-pp"))
    assert told == "2 models and their base merged by regmean-pp, whose last step is regmean."


def test_the_labels_that_were_used_are_shown():
    shown = report(options={"labels": "auto", "per": "example"}, labels="exact")
    (section,) = statistics(shown, Names([]))
    assert next(iter(section.blocks)).rows[0][-1].text == "labels exact, per example"
