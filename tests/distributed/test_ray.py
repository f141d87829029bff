"""`--engine ray` on a cluster of processes on this machine, one of whose nodes is lost during the merge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused, contents

from merge.engine import RunSettings
from merge.errors import MergeError
from merge.execute import WriteSettings, write
from merge.plan import Plan, make_plan
from merge.recipe import Merge, Model, Output, Recipe

ray = pytest.importorskip("ray", reason="the extra [ray] is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="Ray's test cluster needs Linux"),
    pytest.mark.filterwarnings("ignore"),
]


def recipe(models: Path, out: Path, method: str = "ties", **options: Any) -> Recipe:
    parts = tuple(Model(str(models / name)) for name in "abc")
    merged = Merge(method, parts, Model(str(models / "base")), options=options)
    return Recipe(merged, output=Output(path=out, max_shard_size=500_000))


def plan_of(*arguments: Any, **options: Any) -> Plan:
    return make_plan(recipe(*arguments, **options))


def written(folder: Path) -> dict[str, str]:
    return {name: value for name, value in contents(folder).items() if name != "README.md"}


@pytest.fixture
def whole(models: Path, tmp_path: Path) -> dict[str, str]:
    """What one process writes."""
    plan = plan_of(models, tmp_path / "whole")
    write(plan, WriteSettings())
    plan.close()
    return written(tmp_path / "whole")


def test_the_same_bytes_from_the_command_line(cluster, cli, models, tmp_path, whole, monkeypatch):
    """Relative paths count from the current folder, on the nodes too."""
    monkeypatch.chdir(models)
    flags = ("--engine", "ray", "--address", cluster.address, "--max-shard-size", "500KB", "-o", tmp_path / "out")
    result = cli("ties", "a", "b", "c", "--base", "base", *flags)
    assert result.code == 0, result.err
    assert written(tmp_path / "out") == whole
    assert len(whole) > 10
    assert not ray.is_initialized()


def test_reductions_over_the_checkpoint(cluster, models, tmp_path):
    outputs = []
    for name, settings in {"one": RunSettings(), "ray": RunSettings(engine="ray", address=cluster.address)}.items():
        plan = plan_of(models, tmp_path / name, trim_scope="checkpoint")
        write(plan, WriteSettings(run=settings))
        plan.close()
        outputs.append(written(tmp_path / name))
    assert outputs[0] == outputs[1]


def test_what_a_node_finds_wrong(cluster, cli, here):
    state = {"w": torch.zeros(100, dtype=torch.bfloat16)}
    save(here / "a.st", state)
    state["w"][7] = float("nan")
    save(here / "b.st", state)
    result = cli("soup", "a.st", "b.st", "--engine", "ray", "--address", cluster.address, "-o", "out.st")
    assert_refused(result, 1, "b.st: tensor 'w' holds an infinity or NaN (seen from ")
    assert set(contents(here)) == {"a.st", "b.st"}


def test_a_node_is_lost(cluster, models, tmp_path, whole):
    """Last of all, since the node does not come back. Both nodes are at work when the first share is finished."""
    lost = []

    def lose(nbytes: int, tensors: int) -> None:
        if not lost:
            lost.append(cluster.workers[0])
            cluster.remove_node(cluster.workers[0], allow_graceful=False)

    plan = plan_of(models, tmp_path / "out")
    settings = RunSettings(engine="ray", address=cluster.address, advance=lose)
    write(plan, WriteSettings(run=settings))
    plan.close()
    assert lost
    assert written(tmp_path / "out") == whole


def test_no_such_cluster(models, tmp_path):
    plan = plan_of(models, tmp_path / "out")
    with pytest.raises(MergeError, match=r"127\.0\.0\.1:1: cannot connect to the cluster"):
        write(plan, WriteSettings(run=RunSettings(engine="ray", address="127.0.0.1:1")))
    plan.close()
    assert contents(tmp_path) == {}
