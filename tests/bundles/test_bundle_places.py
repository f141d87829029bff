"""Where bundles and their members are: links, home folders, moves; and what ``--force`` must leave alone."""

from __future__ import annotations

import json
import shutil

import pytest
from checkpoint_files import random_state, save
from command_line import assert_refused


@pytest.fixture
def members(here):
    save(here / "members" / "a.st", random_state(0))
    save(here / "members" / "b.st", random_state(1))
    return ("members/a.st", "members/b.st")


def paths(folder):
    return [one["path"] for one in json.loads((folder / "merge.json").read_text())["members"]]


def test_a_folder_that_is_a_link_does_not_lead_astray(here, members, cli):
    (here / "real/deep").mkdir(parents=True)
    (here / "link").symlink_to("real/deep")
    assert cli("moe", *members, "-o", "link/mix").code == 0
    assert paths(here / "real/deep/mix")[0] == "../../../members/a.st"
    assert cli("verify", "link/mix").code == cli("verify", "real/deep/mix").code == 0
    shutil.copy(here / "members/a.st", here / "real/a.st")
    assert cli("moe", "link/../a.st", members[1], "-o", "other").code == 0
    assert paths(here / "other")[0] == "../real/a.st"
    assert cli("verify", "other").code == 0


def test_a_member_that_is_a_link_keeps_its_name(here, members, cli):
    (here / "latest.st").symlink_to("members/a.st")
    assert cli("moe", "latest.st", members[1], "-o", "mix").code == 0
    assert paths(here / "mix")[0] == "../latest.st"


def test_an_architecture_behind_a_link_is_found(here, members, cli):
    (here / "real/deep").mkdir(parents=True)
    (here / "link").symlink_to("real/deep")
    (here / "net.py").write_text("class Network: ...\n")
    (here / "oc").mkdir()
    for model, kept in (("net.py:Network", "../../../net.py:Network"), ("open_clip:oc", "open_clip:../../../oc")):
        assert cli("moe", *members, "--model", model, "-o", "link/mix", "--force").code == 0
        assert json.loads((here / "link/mix/merge.json").read_text())["model"] == kept
        found = json.loads(cli("inspect", "link/mix", "--json").out)["model"]
        assert (here / found.removeprefix("open_clip:").partition(":")[0]).exists()


def test_the_home_folder_is_known(here, members, cli, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    (here / "home").mkdir()
    assert cli("moe", *members, "-o", "~/mix").code == 0
    assert (here / "home/mix/merge.json").is_file()
    (here / "r.yaml").write_text(f"merge: moe\nmodels: [{members[0]}, {members[1]}]\noutput: ~/run\n")
    assert cli("run", "r.yaml").code == 0
    assert (here / "home/run/merge.json").is_file()
    assert not (here / "~").exists()


def test_force_spares_what_merge_did_not_write(here, members, cli):
    assert cli("moe", *members, "-o", "mix").code == 0
    save(here / "mix/members/mine.st", random_state(2))
    assert_refused(cli("moe", *members, "-o", "mix", "--force"), 2, "members/mine.st")
    assert (here / "mix/members/mine.st").is_file()
    assert cli("moe", *members, "--copy", "-o", "copied").code == 0
    assert cli("moe", *members, "--copy", "-o", "copied", "--force").code == 0
    for name in ("members/3/model.safetensors", "members/1/notes.txt", "members/1/deep/model.safetensors"):
        (here / "copied" / name).parent.mkdir(exist_ok=True)
        (here / "copied" / name).write_text("mine")
        assert_refused(cli("moe", *members, "-o", "copied", "--force"), 2, "copied", "members/")
        assert (here / "copied" / name).read_text() == "mine"
        (here / "copied" / name).unlink()
        if not any((here / "copied" / name).parent.iterdir()):
            (here / "copied" / name).parent.rmdir()
    assert cli("moe", *members, "-o", "copied", "--force").code == 0


@pytest.mark.parametrize("text", ['{"mine": 1}', "[]", '{"format":'])
def test_force_spares_a_merge_json_of_something_else(here, members, cli, text):
    (here / "mine").mkdir()
    (here / "mine/merge.json").write_text(text)
    assert_refused(cli("moe", *members, "-o", "mine", "--force"), 2, "no bundle")
    assert (here / "mine/merge.json").read_text() == text


def test_the_folder_of_the_architecture_is_not_replaced(here, members, cli):
    save(here / "whole/model.safetensors", random_state(0))
    (here / "whole/config.json").write_text("{}")
    assert cli("moe", "whole", "whole", "--copy", "-o", "mix").code == 0
    flags = ("--model", "mix/members/1", "-o", "mix", "--force")
    assert_refused(cli("moe", *members, *flags), 2, "holds")
    assert (here / "mix/members/1/config.json").is_file()


def test_the_bundle_that_misses_a_member_is_named(here, members, cli):
    cli("moe", *members, "-o", "mix")
    (here / "members/a.st").unlink()
    assert_refused(cli("inspect", "mix"), 1, "merge: mix: its member 'expert 1' is missing")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"copied": None}, ()),
        ({"shared": {}}, ("'shared' of member 1",)),
        ({"shared": {"file": "x", "tensors": [1]}}, ("'shared' of member 1",)),
        ({"shared": []}, ("'shared' of member 1",)),
        ({"shared": {"file": "../members/a.st", "tensors": ["absent"]}}, ("lacks 'absent'",)),
        ({"role": "expert 2"}, ("same role",)),
    ],
)
def test_a_damaged_member_is_refused_or_made_do(here, members, cli, change, words):
    cli("moe", *members, "-o", "mix")
    found = json.loads((here / "mix/merge.json").read_text())
    found["members"][0] |= change
    found["members"][0] = {key: value for key, value in found["members"][0].items() if value is not None}
    (here / "mix/merge.json").write_text(json.dumps(found))
    for command in ("inspect", "verify"):
        result = cli(command, "mix")
        assert_refused(result, 1, *words) if words else result.code == 0
        assert words or result.code == 0, result.err


def test_a_device_that_is_not_there_is_said_before_anything_is_written(here, members, cli):
    flags = ("--report-benchmark", "digits", "--device", "cuda:99")
    assert_refused(cli("t3", *members, *flags, "-o", "x"), 1, "cuda:99")
    assert not (here / "x").exists()
