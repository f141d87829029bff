"""Data sets of the hub, from a hub on this machine, in processes with caches of their own."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from command_line import environment
from fake_hub import FakeHub, Repository, commit_of
from image_files import encoded, picture

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.slow  # a process for every request, since the libraries read the environment once

SCRIPT = """
import sys
from pathlib import Path
from merge.errors import MergeError
from merge.evaluation.data import load_images
from merge.evaluation.data_source import read_data_source
from merge.section import parse_section

try:
    images = load_images(read_data_source(parse_section(sys.argv[1], "bench.yaml"), Path.cwd()))
    print(images.labels.tolist(), images.classes, *images.notes)
except MergeError as error:
    print(type(error).__name__, error)
"""


def parquet(n):
    rows = {
        "img": [{"bytes": encoded(picture(number)), "path": None} for number in range(n)],
        "label": [0, 1] * (n // 2),
    }
    table = datasets.Dataset.from_dict(rows).cast_column("label", datasets.ClassLabel(names=["bird", "cat"]))
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()


OLD = {"data/train-00000-of-00001.parquet": parquet(2), "data/test-00000-of-00001.parquet": parquet(4)}
NEW = OLD | {"data/test-00000-of-00001.parquet": parquet(6)}
CARD = "---\nconfigs:\n- config_name: red\n  data_files: red/*\n- config_name: blue\n  data_files: blue/*\n---\n"
SEVERAL = {"README.md": CARD.encode(), "red/test.parquet": parquet(2), "blue/test.parquet": parquet(4)}
FOUR, SIX = "[0, 1, 0, 1] ('bird', 'cat')", "[0, 1, 0, 1, 0, 1] ('bird', 'cat')"


@pytest.fixture(scope="module")
def hub():
    repositories = {"me/pictures": Repository({"main": NEW, "old": OLD}), "me/several": Repository({"main": SEVERAL})}
    with FakeHub(datasets=repositories) as running:
        yield running


@pytest.fixture
def ask(hub, tmp_path):
    def run(data, *, offline=False, home="home"):
        variables = environment(**hub.environment(tmp_path / home, offline=offline))
        command = [sys.executable, "-c", SCRIPT, f"data: {{{data}}}"]
        done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=tmp_path, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return run


def test_revisions_and_the_cache(ask):
    assert ask("path: 'hub:me/pictures@old'") == f"{FOUR} the data is hub:me/pictures@old, commit {commit_of(OLD)}"
    assert ask("path: me/pictures@old", offline=True).startswith(FOUR)
    assert f"commit {commit_of(OLD)} of the data set, not {commit_of(NEW)}" in ask(
        f"path: me/pictures@{commit_of(NEW)}", offline=True
    )
    assert ask("path: me/pictures") == f"{SIX} the data is me/pictures, commit {commit_of(NEW)}"
    assert ask("path: me/pictures", offline=True).startswith(SIX)


def test_files_of_one_split_alone(ask, hub):
    hub.asked.clear()
    assert ask("path: me/pictures, files: 'data/test-*'").startswith(SIX)
    assert not [path for path in hub.asked if "resolve" in path and "train" in path]
    assert ask("path: me/pictures, files: 'data/test-*'", offline=True).startswith(SIX)


def test_configurations(ask):
    assert ask("path: me/several, config: blue, split: train").startswith(FOUR)
    assert "'config' must say which configuration (there are: red, blue)" in ask("path: me/several")
    assert "no configuration 'blu' (did you mean 'blue'?)" in ask("path: me/several, config: blu")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("path: me/pictures, split: tset", "no split 'tset' (did you mean 'test'?)"),
        ("path: me/absent", "the hub has no data set 'me/absent', and there is no such local path"),
        ("path: me/pictures@gone", "the data set me/pictures has no revision 'gone'"),
        ("path: 'hub:pictures'", "'pictures' is no id of a data set (write hub:org/name@revision)"),
        ("path: me/pictures, files: 'nothing-*'", "no parquet files 'nothing-*' in the data set me/pictures"),
        ("path: me/absent, files: '*.parquet'", "the hub has no data set 'me/absent', and there is no such local path"),
        ("path: me/pictures@gone, files: '*.parquet'", "the data set me/pictures has no revision 'gone'"),
    ],
)
def test_wrong_names(ask, data, message):
    answer = ask(data)
    assert message in answer
    assert "Error bench.yaml:1:" in answer


def test_offline_with_nothing_cached_names_the_data_set_and_the_cache(ask, tmp_path):
    answer = ask("path: me/pictures", offline=True, home="other")
    assert answer.startswith("MergeError bench.yaml:1:8: the data set me/pictures is not in the local cache")
    assert f"({tmp_path / 'other' / 'datasets'}), and the network is off or cannot be reached" in answer
