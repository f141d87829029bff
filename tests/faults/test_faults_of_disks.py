"""Disks that are full, devices that report errors, reads and writes that do half of what they were asked for."""

from __future__ import annotations

import pytest
from faults_campaign import LOOPS, loop
from faults_forms import FORMS

SPARSE = ["shards", "bundle-moe", "statistics", "eval-report", "adapter"]


@pytest.mark.parametrize("what", LOOPS)
def test_calls_fail_in_turn(shop, what):
    trials = list(loop(shop, shop.known(FORMS["file"], replaces=True), what, step=1 if what == "ENOSPC once" else 2))
    assert sum(trial.fired for trial in trials) >= 5
    assert [str(trial) for trial in trials if trial.faults] == []


@pytest.mark.parametrize("what", ["ENOSPC from then on", "EIO of a read"])
@pytest.mark.parametrize("name", SPARSE)
def test_some_calls_fail_in_other_forms(shop, name, what):
    trials = list(loop(shop, shop.known(FORMS[name], replaces=True), what, step=9, start=4))
    assert any(trial.fired for trial in trials)
    assert [str(trial) for trial in trials if trial.faults] == []


@pytest.mark.parametrize("name", ["file", "shards", "bundle-moe", "statistics", "eval-report", "permutations"])
def test_every_byte_of_an_output_is_written_by_calls_that_are_seen(shop, name):
    known = shop.known(FORMS[name], replaces=False)
    ending, _ = shop.run(known)
    written = shop.folder / "work"
    assert ending.written >= sum(path.stat().st_size for path in written.rglob("*") if path.is_file())
