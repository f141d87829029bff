"""`--workers`: the same bytes as one process writes, for every way in which a method reads; and what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused, contents, environment, run, start

from merge.distributed import pool
from merge.distributed.pipe import HelperProcess
from merge.engine import RunSettings
from merge.errors import MergeError, UsageError
from merge.execute import WriteSettings, write
from merge.plan import make_plan
from merge.recipe import Merge, Model, Output, Recipe

SHARDS = ("--max-shard-size", "3MB")
CASES = {
    "soup": ("soup", "a", "b", "c"),
    "slerp": ("slerp", "a", "b"),
    "ties": ("ties", "a", "b", "c", "--base", "base"),
    "ties over all": ("ties", "a", "b", "--base", "base", "--trim-scope", "checkpoint"),
    "dare": ("dare", "a", "b", "--base", "base", "--seed", "3"),
    "della": ("della", "a", "b", "--base", "base"),
    "matrices": ("tsv-m", "a", "b", "--base", "base", "--device", "cpu"),
    "lines": ("lines", "a", "--base", "base"),
    "cast": ("cast", "a", "--dtype", "float32"),
}


def written(folder: Path) -> dict[str, str]:
    """Return what an output holds but its card, which names it."""
    return {name: value for name, value in contents(folder).items() if name != "README.md"}


@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes_as_one_process(cli, models, tmp_path, monkeypatch, case):
    monkeypatch.chdir(models)
    for name, flags in {"one": ("--threads", 1), "two": ("--workers", 2)}.items():
        result = cli(*CASES[case], *SHARDS, *flags, "--no-fsync", "-o", tmp_path / name)
        assert result.code == 0, result.err
    assert len(written(tmp_path / "one")) > 4
    assert written(tmp_path / "two") == written(tmp_path / "one")


def test_nested_merges_with_options_by_depth(cli, models, tmp_path, monkeypatch):
    monkeypatch.chdir(models)
    (tmp_path / "recipe.yaml").write_text(f"""
merge: ties
base: {models}/base
models:
- model: {{merge: slerp, options: {{t: 0.3}}, models: [{models}/a, {models}/b]}}
- {models}/c
layers:
- {{match: "*.mlp.*", options: {{density: [0.2, 0.8]}}}}
then:
- lines: {{alpha: auto, beta: 0.4}}
""")
    for name, flags in {"1.st": (), "2.st": ("--workers", 2), "3.st": ("--workers", 3, "--threads", 2)}.items():
        result = cli("run", tmp_path / "recipe.yaml", *flags, "-o", tmp_path / name)
        assert result.code == 0, result.err
    assert len({(tmp_path / f"{number}.st").read_bytes() for number in (1, 2, 3)}) == 1


def test_progress_and_records_arrive(models, tmp_path):
    seen: list[tuple[int, int]] = []
    plan = plan_of(models, tmp_path / "out")
    settings = RunSettings(workers=2, advance=lambda nbytes, tensors: seen.append((nbytes, tensors)))
    outcome = write(plan, WriteSettings(run=settings)).outcome
    plan.close()
    assert sum(nbytes for nbytes, _ in seen) == plan.bytes_read
    assert sum(tensors for _, tensors in seen) == len(plan.rows)
    assert outcome.totals is not None
    assert sum(spent.nbytes for spent in outcome.totals.read.values()) >= plan.bytes_read


def plan_of(models: Path, out: Path, method: str = "ties"):
    parts = tuple(Model(str(models / name)) for name in "abc")
    base = Model(str(models / "base")) if method == "ties" else None
    return make_plan(Recipe(Merge(method, parts, base), output=Output(path=out, max_shard_size=3_000_000)))


class Watched(HelperProcess):
    """A process that a test can kill."""

    made: list[Watched]

    def __init__(self) -> None:
        super().__init__()
        self.made.append(self)

    @property
    def pid(self) -> int:
        return self._process.pid


@pytest.fixture
def watched(monkeypatch):
    Watched.made = []
    monkeypatch.setattr(pool, "HelperProcess", Watched)
    return Watched.made


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_workers_are_replaced(models, tmp_path, watched):
    plan = plan_of(models, tmp_path / "one")
    write(plan, WriteSettings())
    plan.close()

    def kill(nbytes: int, tensors: int) -> None:
        """Kill both when the first piece is finished: one of them then works on another."""
        for process in watched[:2]:
            process.kill()

    plan = plan_of(models, tmp_path / "two")
    write(plan, WriteSettings(run=RunSettings(workers=3, advance=kill)))
    plan.close()
    assert len(watched) >= 3
    assert written(tmp_path / "one") == written(tmp_path / "two")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_share_that_kills_every_worker_ends_the_merge(models, tmp_path, monkeypatch):
    class Doomed(HelperProcess):
        def ask(self, question):
            os.kill(self._process.pid, signal.SIGKILL)
            return super().ask(question)

    monkeypatch.setattr(pool, "HelperProcess", Doomed)
    plan = plan_of(models, tmp_path / "out")
    with pytest.raises(MergeError, match=r"3 worker processes died on the same share of the work, .* SIGKILL"):
        write(plan, WriteSettings(run=RunSettings(workers=2)))
    plan.close()
    assert contents(tmp_path) == {}


def test_what_a_worker_finds_wrong_is_said_as_by_one_process(models, tmp_path):
    state = {"w": torch.zeros(10_000_000, dtype=torch.bfloat16)}
    save(tmp_path / "a.st", state)
    state["w"][9_999_999] = float("inf")
    save(tmp_path / "b.st", state)
    result = run("soup", "a.st", "b.st", "--workers", 2, "-o", "out.st", cwd=tmp_path)
    assert_refused(result, 1, "b.st: tensor 'w' holds an infinity or NaN")
    assert set(contents(tmp_path)) == {"a.st", "b.st"}


def test_tensors_in_memory_are_merged_by_one_process():
    from merge import merge_state_dicts

    with pytest.raises(UsageError, match="tensors in memory are merged by one process"):
        merge_state_dicts([{"w": torch.ones(2)}] * 2, settings=RunSettings(workers=2))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--workers", 0), ("--workers",)),
        (("--engine", "rai"), ("--engine must be local or ray, not 'rai'", "did you mean 'ray'?")),
        (("--address", "auto"), ("--address is that of a Ray cluster", "--engine ray")),
    ],
)
def test_flags_that_make_no_sense(cli, pair, here, flags, words):
    result = cli("soup", *pair, *flags, "-o", "out.st")
    assert result.code == 2
    assert all(word in result.err for word in words)


def _pieces(journal: Path) -> int:
    return journal.read_text().count('["piece"') if journal.exists() else 0


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_first_process_is_stopped(models, tmp_path, number):
    """Workers go with it; after a kill, ``--resume`` reads only what is missing, with or without workers."""
    arguments = ("ties", *(models / name for name in "abc"), "--base", models / "base", *SHARDS, "-o", tmp_path / "out")
    process, children = _paused_halfway(arguments, tmp_path)
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    assert not (tmp_path / "out").exists()
    _wait_for_the_end_of(children)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert contents(tmp_path) == {}
        return
    resumed = run(*arguments, "--workers", 2, "--resume", "--json", cwd=tmp_path)
    assert json.loads(resumed.out)["pieces_reused"] >= 2
    assert run(*arguments[:-1], "whole", "--threads", 1, cwd=tmp_path).code == 0
    assert written(tmp_path / "out") == written(tmp_path / "whole")


def _paused_halfway(arguments: tuple[object, ...], folder: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Return a merge that was paused after its second piece, and its workers; begin again where it was too quick."""
    for _ in range(20):
        process = start(*arguments, "--workers", 2, cwd=folder)
        while _pieces(folder / ".out.merging" / "journal") < 2 and process.poll() is None:
            time.sleep(0.001)
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            if not (folder / "out").exists():
                return process, _children(process.pid)
            process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
        shutil.rmtree(folder / "out")
    raise AssertionError("every one of 20 merges ended before it could be stopped")


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def _wait_for_the_end_of(pids: list[int]) -> None:
    limit = time.monotonic() + 30
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        assert time.monotonic() < limit, "a worker outlived the merge"
        time.sleep(0.01)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder that is in use cannot be removed")
def test_a_current_folder_that_was_removed(models, tmp_path):
    arguments = ("soup", models / "a", models / "b", "--workers", 2, "--quiet", "-o", tmp_path / "out")
    gone = tmp_path / "gone"
    gone.mkdir()
    words = [*map(str, arguments)]
    code = f"import os, sys; os.rmdir({str(gone)!r}); from merge.cli import main; sys.exit(main({words}))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=gone, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert run(*arguments[:3], "-o", tmp_path / "whole", cwd=tmp_path).code == 0
    assert written(tmp_path / "out") == written(tmp_path / "whole")


def test_a_script_without_a_main_guard(models, tmp_path):
    """Workers are processes of their own and do not import the script that asked for them."""
    script = tmp_path / "script.py"
    script.write_text(f"""
from merge import merge
from merge.engine import RunSettings
from merge.execute import WriteSettings
from merge.recipe import Merge, Model, Recipe
merge(Recipe(Merge("soup", (Model({str(models / "a")!r}), Model({str(models / "b")!r})))), out="out.st",
      settings=WriteSettings(run=RunSettings(workers=2)))
print("written")
""")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("written\n", 0), done.stderr
