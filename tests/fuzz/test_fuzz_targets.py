"""Some cases of every target, the same in every run; ``benchmarks/fuzz.py`` runs as many as one likes."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz_rules import ACCEPTED, SECONDS
from fuzz_run import run_cases
from fuzz_targets import TARGETS

CASES = 60
FINDS_NOTHING_WRONG = {"lock", "rates", "scores", "trials", "saved-table", "preprocessor-config", "partial-notes"}
FINDS_NOTHING_WRONG |= {"demo-config", "open-clip-config", "card-to-push", "journal", "partial-statistics"}


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_taken_or_refused_in_words(name: str, place: Any) -> None:
    with place(TARGETS[name]) as (folder, seeds):
        found = run_cases(TARGETS[name], folder, seeds, CASES, 7, limit=4 * SECONDS)
    assert not found.faults, [(kind, text, bytes.fromhex(case)[:300]) for kind, text, case in found.faults]
    assert found.cases >= CASES // 2
    refused = found.cases - found.outcomes[ACCEPTED]
    assert refused or name in FINDS_NOTHING_WRONG, "what is damaged must show"
