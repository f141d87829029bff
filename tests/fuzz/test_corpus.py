"""Every file that is kept: sound ones are accepted, and those that once broke a rule keep all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fuzz_rules import ACCEPTED, SECONDS, SOUND
from fuzz_run import try_case
from fuzz_target import CORPUS
from fuzz_targets import TARGETS

KEPT = [(name, path) for name, target in TARGETS.items() for path in target.corpus()]


def test_every_folder_of_the_corpus_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()
    assert all(path.stat().st_size < 300_000 for _, path in KEPT)


@pytest.mark.parametrize(("name", "path"), KEPT, ids=[f"{name}-{path.name}" for name, path in KEPT])
def test_kept(name: str, path: Path, place: Any) -> None:
    with place(TARGETS[name]) as (folder, _):
        outcome = try_case(TARGETS[name], folder, path.read_bytes(), 4 * SECONDS)
    assert outcome.kind in SOUND, outcome
    if path.name.startswith("valid"):
        assert outcome.kind == ACCEPTED, outcome
