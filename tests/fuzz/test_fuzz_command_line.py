"""Damaged files through the command line: one line on stderr and exit code 1 or 2, or it is done; never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from command_line import Result
from command_line import run as run_process
from fuzz_forms import render_json
from fuzz_rules import listing
from fuzz_target import Target
from fuzz_targets import TARGETS

WITH_COMMANDS = [name for name, target in TARGETS.items() if target.command]
DEEP = b'{"a":' * 20_000


def damaged(target: Target, seed: bytes) -> list[bytes]:
    """Return a few damaged files: cut off, empty, nested too deeply, of another kind, and those that are kept."""
    part = target.form.unwrap(seed)
    cases = [b"", seed[: len(seed) // 2], seed[:-1] + b"\xff"]
    if target.form.parse is not None:
        parts = [DEEP, b"[]", b"null", b'"text"', part[:-2], render_json({"\ud800": 1, "x" * 3000: [1]})]
        cases += [target.form.wrap(seed, one) for one in parts]
    return [*cases, *(path.read_bytes() for path in target.corpus() if not path.name.startswith("valid"))]


def assert_in_words(result: Result) -> None:
    assert result.code in (0, 1, 2), result
    lines = [line for line in result.err.splitlines() if not line.startswith(("warning: ", "note: "))]
    assert "Traceback" not in result.err
    if result.code and not result.out.endswith("in its metadata\n"):  # which is a verdict of verify, and no failure
        assert len(lines) == 1, result.err
        assert lines[0].startswith("merge: ")
        assert not lines[0].startswith("merge: unexpected")
        assert len(lines[0]) < 3000
        assert lines[0].isprintable()


@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_one_line_or_done(name: str, place: Any, cli: Callable[..., Result]) -> None:
    target = TARGETS[name]
    with place(target) as (folder, seeds):
        (folder / target.file).write_bytes(seeds[0])
        assert cli(*target.command).code == 0
        codes = set()
        for case in damaged(target, seeds[0]):
            (folder / target.file).write_bytes(case)
            before = listing(folder)
            result = cli(*target.command)
            assert_in_words(result)
            assert listing(folder) == before, case[:200]
            codes.add(result.code)
    assert codes & {1, 2}


@pytest.mark.parametrize("name", ["safetensors-header", "recipe"])
def test_as_a_process_too(name: str, place: Any) -> None:
    target = TARGETS[name]
    with place(target) as (folder, seeds):
        (folder / target.file).write_bytes(target.form.wrap(seeds[0], DEEP))
        result = run_process(*target.command, cwd=folder)
    assert result.code in (1, 2)
    assert_in_words(result)
