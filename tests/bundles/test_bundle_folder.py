"""The folder of a bundle: written, moved, damaged, refused where a checkpoint is wanted."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from checkpoint_files import random_state, save
from command_line import assert_refused

import merge


@pytest.fixture
def members(here):
    save(here / "members" / "a.st", random_state(0))
    save(here / "members" / "b.st", random_state(1))
    return ("members/a.st", "members/b.st")


def document(folder):
    return json.loads((folder / "merge.json").read_text())


def test_members_are_named_by_paths_from_the_bundle(here, members, cli):
    assert cli("moe", *members, "-o", "deep/er/mix").code == 0
    found = document(here / "deep/er/mix")
    assert [one["path"] for one in found["members"]] == ["../../../members/a.st", "../../../members/b.st"]
    assert found["options"] == {
        "combine": "logits",
        "weight": [0.5, 0.5],
        "temperature": [1.0, 1.0],
        "align": "exact",
    }
    assert cli("verify", "deep/er/mix").code == 0


def test_a_bundle_and_its_members_can_be_moved_together(here, members, cli):
    assert cli("moe", *members, "-o", "members/mix").code == 0
    shutil.move(here / "members", here / "elsewhere")
    result = cli("verify", "elsewhere/mix", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out) == {"out": "elsewhere/mix", "repeats": True, "changed_members": []}


def test_copied_members_share_what_is_equal(here, cli):
    first = random_state(0)
    name = next(iter(first))
    second = {**random_state(1), name: first[name]}
    save(here / "a.st", first)
    save(here / "b.st", second)
    assert cli("moe", "a.st", "b.st", "--copy", "-o", "mix").code == 0
    (here / "a.st").unlink()
    (here / "b.st").unlink()
    kept = sum(path.stat().st_size for path in (here / "mix").rglob("*.safetensors"))
    assert kept < 2 * sum(tensor.nbytes for tensor in first.values()) - first[name].nbytes + 4 * 4096
    found = document(here / "mix")
    equal = [key for key in first if torch.equal(first[key], second[key])]
    assert name in equal
    for one in found["members"]:
        assert sorted(one["shared"]["tensors"]) == sorted(equal)
    one, two = merge.load(here / "mix").state_dicts()
    for expected, read in ((first, one), (second, two)):
        assert expected.keys() == read.keys()
        assert all(torch.equal(expected[key], read[key]) for key in expected)
    assert cli("verify", "mix").code == 0


def test_three_copies_of_one_model_take_the_room_of_one(here, cli):
    state = random_state(0)
    for name in "abc":
        save(here / f"{name}.st", state)
    assert cli("moe", "a.st", "b.st", "c.st", "--copy", "-o", "mix").code == 0
    kept = sum(path.stat().st_size for path in (here / "mix").rglob("*.safetensors"))
    assert kept <= sum(tensor.nbytes for tensor in state.values()) + 4 * 2 * 4096
    assert len(merge.load("mix").state_dicts()) == 3


def test_companions_are_copied(here, cli):
    for seed, name in enumerate("ab"):
        save(here / name / "model.safetensors", random_state(seed))
        (here / name / "config.json").write_text("{}")
    assert cli("moe", "a", "b", "--copy", "-o", "mix").code == 0
    assert (here / "mix/members/2/config.json").read_text() == "{}"


def test_a_missing_member_is_named(here, members, cli):
    cli("moe", *members, "-o", "mix")
    (here / "members/b.st").unlink()
    for command in (("inspect", "mix"), ("verify", "mix"), ("eval", "mix", "--benchmark", "digits")):
        assert_refused(cli(*command), 1, "expert 2", "members/b.st")


def test_a_changed_member_is_named(here, members, cli):
    cli("moe", *members, "-o", "mix")
    save(here / "members/b.st", random_state(5))
    result = cli("verify", "mix")
    assert (result.code, "'expert 2' has changed" in result.out) == (1, True)
    with pytest.raises(merge.MergeError, match="not what it was"):
        merge.load("mix").state_dicts()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rule": "t4"}, ("rule 't4' is unknown", "moe")),
        ({"schema_version": 2}, ("schema version 2", "update")),
        ({"format": "zip"}, ("no bundle",)),
        ({"options": {"combine": "sums"}}, ("combine must be one of",)),
        ({"options": {"gamma": 1}}, ("no option 'gamma'",)),
        ({"options": {"weight": [1.0]}}, ("weight", "each member")),
        ({"members": [], "options": {}}, ("at least 2",)),
        ({"members": [{"role": "x"}, {}]}, ("member 1 lacks",)),
        ({"seed": "x"}, ("'seed'",)),
    ],
)
def test_a_damaged_document_is_refused(here, members, cli, change, words):
    cli("moe", *members, "-o", "mix")
    path = here / "mix/merge.json"
    path.write_text(json.dumps(document(here / "mix") | change))
    assert_refused(cli("inspect", "mix"), 1, "merge.json", *words)


def test_a_broken_document_is_refused(here, members, cli):
    cli("moe", *members, "-o", "mix")
    (here / "mix/merge.json").write_text('{"format":')
    assert_refused(cli("eval", "mix", "--benchmark", "digits"), 1, "merge.json")


@pytest.mark.parametrize("command", ["soup", "moe", "slerp"])
def test_a_bundle_is_no_checkpoint(here, members, cli, command):
    cli("moe", *members, "-o", "mix")
    assert_refused(cli(command, "mix", "members/a.st", "-o", "out"), 2, "this is a bundle")
    assert not (here / "out").exists()


def test_what_stands_there_is_kept(here, members, cli):
    assert cli("moe", *members, "-o", "mix").code == 0
    assert_refused(cli("moe", *members, "-o", "mix"), 2, "exists", "--force")
    (here / "mix/notes.txt").write_text("mine")
    assert_refused(cli("moe", *members, "-o", "mix", "--force"), 2, "notes.txt")
    (here / "mix/notes.txt").unlink()
    assert cli("moe", *members, "-o", "mix", "--force", "--combine", "probs").code == 0
    assert document(here / "mix")["options"]["combine"] == "probs"
    assert_refused(cli("moe", *members, "-o", "members", "--force"), 2, "one of the members")
    assert_refused(cli("moe", *members, "-o", "mix.st"), 2, "folder")
    assert [path.name for path in here.iterdir() if path.name.startswith(".")] == []


def test_members_that_do_not_fit_are_refused(here, cli):
    state = random_state(0)
    name, tensor = next((name, tensor) for name, tensor in state.items() if tensor.ndim == 2)
    save(here / "a.st", state)
    save(here / "less.st", {key: value for key, value in state.items() if key != name})
    save(here / "wide.st", {**state, name: torch.zeros(tensor.shape[0], tensor.shape[1] + 1)})
    assert_refused(cli("t3", "a.st", "less.st", "-o", "x"), 2, "less.st", f"lacks '{name}'")
    assert_refused(cli("t3", "less.st", "a.st", "-o", "x"), 2, f"has '{name}' besides")
    assert_refused(cli("dawin", "a.st", "wide.st", "-o", "x"), 2, name, "shape")
    assert_refused(cli("t3", "a.st", "a.st", "a.st", "-o", "x"), 2, "joins 2 models, pretrained and expert")
    assert not (here / "x").exists()


def test_other_classes_are_refused(here, cli):
    for name, labels in (("a", ["cat", "dog"]), ("b", ["dog", "cat"]), ("c", ["cat"])):
        save(here / name / "model.safetensors", random_state(0))
        (here / name / "config.json").write_text(json.dumps({"id2label": dict(enumerate(labels))}))
    assert_refused(cli("moe", "a", "b", "-o", "x"), 2, "class 0 is 'dog'", "'cat'")
    assert_refused(cli("t3", "a", "c", "-o", "x"), 2, "1 classes")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--bounds", "1,0"), ("reversed", "0,1")),
        (("--bounds", "x"), ("two numbers",)),
        (("--towers", "both"), ("per batch",)),
        (("--mode", "batches"), ("mode", "batch")),
        (("--batch", "0"), ("batch",)),
        (("--center", "0.2"), ("centered-sigmoid",)),
        (("--temperature", "0"), ("temperature",)),
        (("--temperature", "1,2,3"), ("temperature",)),
        (("--batch-size", "8"), ("nothing is evaluated",)),
        (("--model", "nowhere.py:Network"), ("nowhere.py",)),
    ],
)
def test_wrong_options_are_refused(here, members, cli, flags, words):
    assert_refused(cli("t3", *members, *flags, "-o", "x"), 2, *words)
    assert not (here / "x").exists()


def test_a_mixture_refuses_what_cannot_be(members, cli):
    assert_refused(cli("moe", *members, "--align", "union", "-o", "x"), 2, "probs")
    assert_refused(cli("moe", *members, "--weights", "0,0", "-o", "x"), 2, "all weights are 0")
    assert_refused(cli("moe", members[0], "-o", "x"), 2, "at least 2")
    assert_refused(cli("moe", *members), 2, "-o")


def test_a_dry_run_writes_nothing(here, members, cli):
    result = cli("t3", *members, "-o", "x", "--dry-run", "--json")
    assert json.loads(result.out)["options"]["gamma"] == 0.5
    assert not (here / "x").exists()


def test_recipes_write_bundles(here, members, cli):
    (here / "r.yaml").write_text(
        "merge: moe\nmodels:\n  - {model: members/a.st, weight: 3}\n  - {model: members/b.st, weight: 1}\n"
        "options: {combine: logprobs}\noutput: mix\n"
    )
    assert cli("run", "r.yaml").code == 0
    assert document(here / "mix")["options"]["weight"] == [3.0, 1.0]
    (here / "bad.yaml").write_text(
        "merge: moe\nmodels: [members/a.st, members/b.st]\noptions: {combin: x}\noutput: y\n"
    )
    assert_refused(cli("run", "bad.yaml"), 2, "bad.yaml:3:", "combin", "combine")
    (here / "base.yaml").write_text("merge: t3\nbase: members/a.st\nmodels: [members/a.st, members/b.st]\noutput: y\n")
    assert_refused(cli("run", "base.yaml"), 2, "'base'")
    (here / "nested.yaml").write_text(
        "merge: soup\nmodels:\n  - members/a.st\n  - model: {merge: moe, models: [members/a.st, members/b.st]}\n"
        "output: y\n"
    )
    assert_refused(cli("run", "nested.yaml"), 2, "moe", "bundle")


@pytest.mark.parametrize("rule", ["t3", "dawin", "moe"])
def test_shipped_and_printed_recipes_run(here, cli, rule):
    from command_line import ROOT

    for seed, name in enumerate(("base.st", "a.st", "b.st", "pretrained/m.st", "expert/m.st", "expert-1/m.st")):
        save(here / name, random_state(seed))
    save(here / "expert-2/m.st", random_state(9))
    (here / "shipped.yaml").write_text((ROOT / "recipes" / f"{rule}.yaml").read_text())
    (here / "printed.yaml").write_text(cli("new", rule).out)
    for recipe in ("shipped.yaml", "printed.yaml"):
        result = cli("run", recipe)
        assert result.code == 0, result.err
        assert json.loads(cli("inspect", json.loads(cli("run", recipe, "--force", "--json").out)["out"], "--json").out)


def test_what_is_printed_and_written_matches_the_published_schemas(here, members, cli):
    jsonschema = pytest.importorskip("jsonschema")
    printed = json.loads(cli("moe", *members, "-o", "mix", "--json").out)
    shapes = {"bundle": printed, "inspect": json.loads(cli("inspect", "mix", "--json").out)}
    shapes["verify"] = json.loads(cli("verify", "mix", "--json").out)
    for name, found in shapes.items():
        jsonschema.validate(found, json.loads(cli("schema", name).out))
    jsonschema.validate(document(here / "mix"), json.loads(cli("schema", "bundle").out))
    recipe = {
        "merge": "moe",
        "models": ["a", {"model": "b", "weight": 1}],
        "options": {"combine": "probs"},
        "output": "x",
    }
    jsonschema.validate(recipe, json.loads(cli("schema").out))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**recipe, "base": "c"}, json.loads(cli("schema").out))


def test_every_rule_has_a_page(cli):
    from command_line import ROOT

    from docs.reference import method_page
    from merge.bundles.rules import rule_names

    for rule in rule_names():
        page = ROOT / "docs" / "methods" / f"{rule}.md"
        assert page.read_text("utf-8") == method_page(rule), "run: python -m docs.reference"
