"""SIGTERM and SIGINT, once and twice, at calls to the system."""

from __future__ import annotations

import pytest
from faults_campaign import interruptions
from faults_forks import INTERRUPT, TERMINATE, at
from faults_forms import FORMS
from faults_judge import judge_interrupted


@pytest.mark.parametrize(("name", "step"), [("file", 6), ("shards", 30), ("bundle-moe", 30)])
def test_an_interrupted_run_cleans_up(shop, name, step):
    trials = list(interruptions(shop, shop.known(FORMS[name], replaces=True), step=step))
    assert sum(trial.fired for trial in trials) >= 6
    assert [str(trial) for trial in trials if trial.faults] == []


@pytest.mark.parametrize("fault", [INTERRUPT, TERMINATE], ids=["SIGINT", "SIGTERM"])
def test_an_output_and_its_card_are_put_in_place_together(shop, fault):
    known = shop.known(FORMS["file"], replaces=True)
    ends = set()
    for number in range(max(1, shop.calls(known) - 24), shop.calls(known) + 1):  # before the renames and after
        ending, found = shop.run(known, at(fault, number))
        assert judge_interrupted(known, ending, found) == [], number
        states = {(found[name] == known.after[name]) for name in ("out.st", "out.st.md")}
        assert len(states) == 1, number
        ends |= states
    assert ends == {False, True}
