"""The tool as a process of its own, as a user runs it against a hub, and as much memory as it takes there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoint_files import write_sparse
from command_line import Result, assert_refused, command, environment
from fake_hub import commit_of, files_in
from remote_models import weights
from stand_in import StandIn, repository

Models = tuple[Path, Path]


@pytest.fixture
def served(server: StandIn, models: Models) -> StandIn:
    server.models = {f"me/{path.name}": repository(path) for path in models}
    return server


def run(server: StandIn, here: Path, *arguments: object, **more: str) -> Result:
    own = {"HF_ENDPOINT": server.url, "HF_HOME": str(here / "home")} | more
    done = subprocess.run(
        command(*arguments), cwd=here, env=environment(**own), capture_output=True, text=True, timeout=120, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_a_recipe_of_mergekit_names_models_of_the_hub(served: StandIn, models: Models, here: Path) -> None:
    text = """merge_method: linear
models:
  - {model: %s, parameters: {weight: 0.25}}
  - {model: {model: {path: %s}}, parameters: {weight: 0.75}}
dtype: bfloat16
"""
    for name, places in {"local": models, "hub": ("me/a", "me/b")}.items():
        (here / f"{name}.yml").write_text(text % places)
    for name in ("local", "hub"):
        found = run(served, here, "run", f"{name}.yml", "-o", name, "--quiet")
        assert found.code == 0, found.err
    assert (here / "hub/model.safetensors").read_bytes() == (here / "local/model.safetensors").read_bytes()
    assert f"me/b@{commit_of(files_in(models[1]))}" in (here / "hub/README.md").read_text()
    assert served.sent() == sum(map(weights, models))


def test_an_own_recipe_in_another_folder(served: StandIn, models: Models, here: Path) -> None:
    (here / "deep").mkdir()
    recipe = {"merge": "slerp", "models": ["me/a", "me/b@main"], "options": {"t": 0.3}, "output": {"path": "out"}}
    (here / "deep" / "recipe.yaml").write_text(json.dumps(recipe))
    found = run(served, here, "run", "deep/recipe.yaml", "--quiet")
    assert found.code == 0, found.err
    assert (here / "deep" / "out" / "config.json").is_file()


def test_offline_is_said_in_one_line(served: StandIn, here: Path) -> None:
    found = run(served, here, "soup", "me/a", "me/b", "-o", "out", "--offline")
    assert_refused(found, 1, "me/a: no such local path, not in the cache", "the network must not be used")
    assert not served.seen


_MEASURED = """
import re, sys
from merge.cli import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not tell a process's memory")
def test_memory_does_not_grow_with_the_checkpoint(server: StandIn, here: Path) -> None:
    nbytes = 160 * 2**20
    path = write_sparse(here / "model.safetensors", {"w": ("BF16", [nbytes // 2**11, 2**10], nbytes)})
    server.files = dict.fromkeys(["a.safetensors", "b.safetensors"], path.read_bytes())
    places = [f"{server.url}/files/{name}" for name in server.files]
    arguments = ["soup", *places, "-o", "out.st", "--quiet", "--no-fsync", "--threads", "2"]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *arguments],
        check=False,
        cwd=here,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert server.sent() == 2 * path.stat().st_size
    assert int(done.stdout) < 160 * 2**10  # KiB; both files are 320 MiB
