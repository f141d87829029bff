"""SIGTERM and SIGINT, once and twice, at calls to the system."""

from __future__ import annotations

import shutil
import signal

import pytest
from faults_campaign import interruptions
from faults_forks import INTERRUPT, TERMINATE, at
from faults_forms import FORMS
from faults_judge import judge_interrupted

from merge.checkpoints.staging import Staging


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


def test_a_second_interrupt_waits_until_everything_is_removed(tmp_path, monkeypatch):
    """Where the output is in place, as files of orders are, the next run takes it and looks for nothing else."""
    remove = shutil.rmtree

    def interrupted(*arguments, **named):
        signal.raise_signal(signal.SIGINT)
        remove(*arguments, **named)

    staging = Staging(tmp_path / "orders" / "a.st", is_folder=False)
    staging.open(resume=False)
    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        staging.close()
    assert not list(tmp_path.iterdir())
