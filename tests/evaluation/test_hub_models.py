"""``merge eval org/name@revision``, from a hub on this machine."""

from __future__ import annotations

import json
import subprocess

import pytest
from command_line import Result, assert_refused, command, environment
from fake_hub import FakeHub, Repository, files_in

pytestmark = pytest.mark.slow  # a process for every request, since the libraries read the environment once


@pytest.fixture(scope="module")
def hub(classifiers):
    one, two = (files_in(folder) for folder in classifiers)
    with FakeHub(
        models={"me/tiny": Repository({"main": one | {"run.py": b"1 / 0", "w.bin": b"x"}, "tuned": two})}
    ) as hub:
        yield hub


@pytest.fixture
def run(hub, tmp_path, write_benchmark):
    def call(*arguments, offline=False, home="home"):
        variables = environment(**hub.environment(tmp_path / home, offline=offline))
        benchmark = write_benchmark()
        done = subprocess.run(
            command("eval", *arguments, "--benchmark", benchmark, "--json", "--quiet"),
            capture_output=True,
            text=True,
            env=variables,
            cwd=tmp_path,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call


def losses(result):
    assert result.code == 0, result.err
    rows = json.loads(result.out)["results"]
    return {row["model"]: (row["value"], row["identity"]) for row in rows if row["metric"] == "loss"}


def test_a_hub_model_is_the_local_one_and_stays_in_the_cache(run, hub, classifiers):
    found = losses(run("me/tiny", "me/tiny@tuned", *classifiers))
    assert found["me/tiny"] == found[str(classifiers[0])]
    assert found["me/tiny@tuned"] == found[str(classifiers[1])]
    assert found["me/tiny"] != found["me/tiny@tuned"]
    assert not [path for path in hub.asked if path.endswith(("run.py", "w.bin"))]
    offline = run("me/tiny@tuned", offline=True)
    assert losses(offline) == {"me/tiny@tuned": found["me/tiny@tuned"]}


def test_nothing_in_the_cache_and_no_network(run, tmp_path):
    result = run("me/tiny", "--offline", home="empty")
    assert_refused(result, 1, "me/tiny: not in the local cache", str(tmp_path / "empty" / "hub"), "network is off")


def test_what_the_hub_does_not_have(run):
    assert_refused(run("me/absent"), 1, "me/absent: the hub has no such model, and there is no such local path")
    assert_refused(run("me/tiny@gone"), 1, "me/tiny@gone", "cannot be fetched from the hub")


def test_a_local_folder_wins(run, tmp_path, classifiers, hub):
    (tmp_path / "me").mkdir()
    (tmp_path / "me" / "tiny").symlink_to(classifiers[1])
    hub.asked.clear()
    found = losses(run("me/tiny", classifiers[1]))
    assert found["me/tiny"] == found[str(classifiers[1])]
    assert not hub.asked
