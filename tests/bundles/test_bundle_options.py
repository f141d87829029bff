"""Options of bundles in recipes: where they may stand, and where messages say that they are wrong."""

from __future__ import annotations

import json

import pytest
from checkpoint_files import random_state, save
from command_line import assert_refused

MODELS = "models:\n  - a.st\n  - b.st\n"


@pytest.fixture(autouse=True)
def models(here):
    save(here / "a.st", random_state(0))
    save(here / "b.st", random_state(1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("merge: t3\n" + MODELS + "options:\n  gamma: 1\n  bounds: '1,0'\n", (":7:3:", "reversed")),
        ("merge: t3\n" + MODELS + "options: {bounds: 'nan,1'}\n", (":5:11:", "two numbers")),
        ("merge: t3\n" + MODELS + "options: {bounds: '0,inf'}\n", (":5:11:", "two numbers")),
        ("merge: t3\n" + MODELS + "options: {towers: both}\n", (":5:11:", "per batch")),
        ("merge: t3\n" + MODELS + "options: {center: 0.1}\n", (":5:11:", "centered-sigmoid")),
        ("merge: moe\n" + MODELS + "options: {align: union}\n", (":5:11:", "probs")),
        ("merge: moe\n" + MODELS + "options: {weight: 0.5}\n", (":5:11:", "beside each model")),
        ("merge: t3\nmodels:\n  - a.st\n  - model: b.st\n    weight: 3\n", (":5:5:", "'weight'")),
        ("merge: t3\nmodels:\n  - a.st\n  - model: b.st\n    gamma: 3\n", (":5:5:", "under options:")),
        ("merge: dawin\nmodels:\n  - a.st\n  - {model: b.st, temprature: 3}\n", (":4:19:", "temperature")),
        ("merge: moe\nmodels:\n  - a.st\n  - {model: b.st, weight: 3}\n", ("for some members",)),
        ("merge: t3\nmissing: base\n" + MODELS, ("'missing' means nothing",)),
        ("merge: t3\nmismatch: skip\n" + MODELS, ("'mismatch' means nothing",)),
        ("merge: t3\nmodels:\n  - a.st\n  - {model: b.st, data: digits}\n", (":4:", "data")),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said_with_its_place(here, cli, text, words):
    (here / "r.yaml").write_text(text + "output: out\n")
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml", *words)
    assert not (here / "out").exists()


@pytest.mark.parametrize("flags", [("--max-shard-size", "1MB"), ("--missing", "base"), ("--mismatch", "skip")])
def test_flags_that_mean_nothing_for_a_bundle_are_refused(here, cli, flags):
    (here / "r.yaml").write_text("merge: t3\n" + MODELS + "output: out\n")
    assert_refused(cli("run", "r.yaml", *flags), 2, flags[0].strip("-").replace("-", "_"))
    assert not (here / "out").exists()


def test_one_value_for_all_members_and_another_beside_one(here, cli):
    text = "merge: t3\nmodels:\n  - a.st\n  - {model: b.st, temperature: 3}\noptions: {temperature: 2}\noutput: out\n"
    (here / "r.yaml").write_text(text)
    assert cli("run", "r.yaml").code == 0
    assert json.loads((here / "out/merge.json").read_text())["options"]["temperature"] == [2.0, 3.0]
