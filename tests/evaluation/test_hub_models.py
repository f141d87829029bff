"""``merge eval org/name@revision``, from a hub on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from command_line import Result, assert_refused, command, environment
from fake_hub import FakeHub, Repository, files_in

pytestmark = pytest.mark.slow  # a process for every request, since the libraries read the environment once


@pytest.fixture(scope="module")
def hub(classifiers):
    one, two = (files_in(folder) for folder in classifiers)
    with FakeHub(
        models={
            "me/tiny": Repository({"main": one | {"run.py": b"1 / 0", "w.bin": b"x"}, "tuned": two}),
            "me/pickled": Repository({"main": {"config.json": one["config.json"], "w.bin": b"x"}}),
        }
    ) as hub:
        yield hub


@pytest.fixture
def run(hub, tmp_path, write_benchmark):
    def call(*arguments, offline=False, home="home", text=None, **more):
        variables = environment(**(hub.environment(tmp_path / home, offline=offline) | more))
        benchmark = write_benchmark(text=text)
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


def test_a_prefix_says_that_a_name_is_one_of_the_hub(run, classifiers):
    found = losses(run("hf:me/tiny", "hub:me/tiny@tuned", *classifiers))
    assert found["hf:me/tiny"] == found[str(classifiers[0])]
    assert found["hub:me/tiny@tuned"] == found[str(classifiers[1])]
    assert_refused(run("hf:me/absent"), 1, "me/absent: the hub has no such model")


def test_a_configuration_of_the_hub_costs_no_download_of_weights(run, hub, classifiers):
    weights = classifiers[0] / "model.safetensors"
    hub.asked.clear()
    first = run(weights, "--model", "hf:me/tiny@tuned", home="config")
    assert not first.err  # no bars
    found = losses(first)
    assert found[str(weights)] == losses(run(weights, "--model", classifiers[0]))[str(weights)]
    assert [path for path in hub.asked if path.endswith("config.json")]
    assert not [path for path in hub.asked if path.endswith((".safetensors", "run.py", "w.bin"))]
    again = run(weights, "--model", "hf:me/tiny@tuned", "--offline", home="config")
    assert losses(again) == found


NOWHERE = "http://127.0.0.1:9"  # the port of "discard", where nothing listens
ZERO_SHOT = "kind: zero-shot\ndata: {path: data.npz}\nclasses: [a, b, c]\nmodel: hf:me/tiny\n"


@pytest.mark.parametrize("flags", [("--offline",), ()])
@pytest.mark.parametrize("text", [None, ZERO_SHOT])
def test_an_architecture_that_cannot_be_fetched_is_one_line_at_once(run, tmp_path, classifiers, flags, text):
    started = time.monotonic()
    model = () if text else ("--model", "hf:me/tiny")
    result = run(classifiers[0] / "model.safetensors", *model, *flags, home="empty", text=text, HF_ENDPOINT=NOWHERE)
    cache = str(tmp_path / "empty" / "hub")
    assert_refused(result, 1, "me/tiny: not in the local cache", cache, "network is off or cannot be reached")
    assert len(result.err.splitlines()) == 1
    assert time.monotonic() - started < 20  # the library's own attempts would take 28 s


@pytest.mark.parametrize("flags", [("--offline",), ()])
def test_a_half_filled_cache_names_what_is_missing(run, tmp_path, classifiers, flags):
    losses(run(classifiers[0] / "model.safetensors", "--model", "hf:me/tiny"))
    (folder,) = (tmp_path / "home" / "hub" / "models--me--tiny" / "snapshots").iterdir()
    result = run("me/tiny", *flags, HF_ENDPOINT=NOWHERE)
    assert_refused(result, 1, f"me/tiny: model.safetensors is not in the local cache ({folder})", "network is off")
    (folder / "config.json").unlink()
    result = run(classifiers[0] / "model.safetensors", "--model", "hf:me/tiny", *flags, HF_ENDPOINT=NOWHERE)
    assert_refused(result, 1, f"me/tiny: config.json is not in the local cache ({folder})", "network is off")


def test_a_missing_shard_is_named(run, tmp_path, classifiers):
    losses(run(classifiers[0] / "model.safetensors", "--model", "hf:me/tiny"))
    (folder,) = (tmp_path / "home" / "hub" / "models--me--tiny" / "snapshots").iterdir()
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-1.safetensors").write_bytes(b"x")
    result = run("me/tiny", "--offline")
    assert_refused(result, 1, "me/tiny: model-2.safetensors is not in the local cache", "network is off")


def test_a_model_without_safetensors_is_not_blamed_on_the_network(run):
    result = run("me/pickled")
    assert_refused(result, 2, "the folder holds no safetensors file")


LOAD = """
import time
from merge.errors import MergeError
from merge.evaluation.candidate import Candidate
from merge.evaluation.language.tokenizer import load_tokenizer
from merge.evaluation.model_name import parse_model_name
from merge.evaluation.networks.open_clip_models import create_open_clip
from merge.evaluation.zero_shot import open_clip_text, transformers_text

named = [parse_model_name(name, "here") for name in ("open_clip:ViT-B-16-SigLIP", "open_clip:roberta-ViT-B-32")]
calls = [
    lambda: load_tokenizer(Candidate("model.st", {}, None, ""), "hf:me/tiny", None),
    lambda: transformers_text._tokenizer(parse_model_name("hf:me/tiny", "here")),
    lambda: open_clip_text._tokenizer(named[0]),
    lambda: create_open_clip(named[1], where="model.st"),
]
started = time.monotonic()
for call in calls:
    try:
        call()
    except MergeError as error:
        print(error)
print(time.monotonic() - started)
"""


def test_tokenizers_and_text_towers_that_cannot_be_fetched_are_one_line_at_once(hub, tmp_path):
    variables = environment(**(hub.environment(tmp_path / "empty") | {"HF_ENDPOINT": NOWHERE}))
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, env=variables, check=True)
    *errors, seconds = done.stdout.splitlines()
    assert [error.partition(", and")[0].partition(" (")[0] for error in errors] == [
        f"{name}: not in the local cache" for name in ("me/tiny", "me/tiny", "timm/ViT-B-16-SigLIP", "roberta-base")
    ]
    assert not done.stderr
    assert float(seconds) < 20  # each would take longer by the libraries' own attempts


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
