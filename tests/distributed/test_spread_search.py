"""``merge search`` by several processes: the same trials in the same file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run

pytestmark = pytest.mark.slow
TEXT = """merge: soup
models:
  - {model: one, weight: {search: [0, 1]}}
  - {model: two, weight: {search: [0, 1]}}
"""


@pytest.fixture
def search(cli, classifiers_here):
    Path("r.yaml").write_text(TEXT)

    def call(name, *flags):
        more = ("--trials-file", f"{name}.jsonl", "--recipe-out", f"{name}.yaml", "--json", "--quiet")
        result = cli("search", "r.yaml", "--benchmark", "first.yaml", "--metric", "loss", "--trials", 8, *more, *flags)
        assert result.code == 0, result.err
        return json.loads(result.out)["search"] | {"recipe": None}

    return call


@pytest.mark.parametrize("flags", [("--workers", 2), ("--processes", 2), ("--workers", 3, "--processes", 1)])
def test_the_same_trials_as_by_one_process(search, flags):
    alone = search("alone")
    assert search("spread", *flags) == alone
    assert Path("spread.jsonl").read_bytes() == Path("alone.jsonl").read_bytes()


def test_processes_decide_over_workers(monkeypatch, search):
    from merge.distributed import spreading

    counts: list[int] = []

    class Counted(spreading.ProcessPool):
        def __init__(self, count: int) -> None:
            counts.append(count)
            super().__init__(count)

    monkeypatch.setattr(spreading, "ProcessPool", Counted)
    search("a", "--workers", 2)
    search("b", "--workers", 3, "--processes", 2)
    search("c", "--workers", 3, "--processes", 1)
    assert counts == [2, 2]


def test_the_merge_of_what_was_found_is_shared_too(cli, search):
    for name, flags in {"1": (), "2": ("--workers", 2)}.items():
        arguments = ("r.yaml", "--benchmark", "first.yaml", "--trials", 8, "--recipe-out", f"{name}.yaml", "-o", name)
        assert cli("search", *arguments, "--trials-file", f"{name}.jsonl", *flags).code == 0
    assert Path("1", "model.safetensors").read_bytes() == Path("2", "model.safetensors").read_bytes()


def test_points_of_coefficients(cli, classifiers_here):
    found = []
    for name, flags in {"1": (), "2": ("--workers", 2)}.items():
        arguments = ("fisher", "one", "two", "--data", "first.yaml", "--samples", 8, "--strategy", "coefficients")
        result = cli(*arguments, "--benchmark", "second.yaml", "--metric", "loss", *flags, "-o", name, "--json")
        assert result.code == 0, result.err
        assert "by this process" not in result.err
        found.append(json.loads(result.out)["coefficients"])
    assert found[0] == found[1]
    assert len(found[0]["points"]) == 51


def test_a_script_is_not_imported_again(search):
    """Trials are made by processes of their own, not by copies of the one that asks for them."""
    search("alone")
    result = run(
        *("search", "r.yaml", "--benchmark", "first.yaml", "--metric", "loss", "--trials", 8, "--workers", 2),
        *("--trials-file", "other.jsonl", "--recipe-out", "other.yaml"),
        cwd=Path.cwd(),
    )
    assert result.code == 0, result.err
    assert Path("other.jsonl").read_bytes() == Path("alone.jsonl").read_bytes()
