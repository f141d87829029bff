"""kill -9 at random calls to the system, in every form of output."""

from __future__ import annotations

import random

import pytest
from faults_campaign import kill
from faults_forms import FORMS

# `aligned` and `regression` take seconds each and write as the others do; the campaign has them.
QUICK = [name for name in FORMS if name not in ("aligned", "regression")]


@pytest.mark.parametrize("replaces", [False, True], ids=["new", "replacing"])
@pytest.mark.parametrize("name", QUICK)
def test_a_killed_run_leaves_the_former_output_or_the_new_one(shop, name, replaces):
    trial = kill(shop, shop.known(FORMS[name], replaces=replaces), random.Random(f"{name} {replaces}"))
    assert not trial.faults, trial


@pytest.mark.parametrize("number", range(40, 56, 2))
def test_killed_while_a_file_and_its_card_are_put_in_place(shop, number):
    from faults_forks import KILL, at
    from faults_judge import judge_done, judge_left

    known = shop.known(FORMS["file"], replaces=True)
    ending, found = shop.run(known, at(KILL, number))
    assert ending.code < 0 or number > shop.calls(known)
    assert judge_left(known, found) == []
    if number % 8 == 0:
        assert judge_done(known, *shop.again(known, found, resume=True)) == []
