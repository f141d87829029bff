"""Outputs that must not be written: they exist, are inputs, hold strangers' files, or there is no room."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import sys

import pytest
import torch
from checkpoint_files import load, random_state, save
from command_line import assert_refused, contents, run

POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


def test_an_output_that_exists(cli, here, pair):
    (here / "out.st").write_text("precious")
    before = contents(here)
    assert_refused(cli("soup", *pair, "-o", "out.st"), 2, "out.st", "exists", "--force")
    assert contents(here) == before


def test_a_dangling_link_is_something_that_exists(cli, here, pair):
    (here / "out.st").symlink_to("nowhere")
    assert_refused(cli("soup", *pair, "-o", "out.st"), 2, "exists")
    assert (here / "out.st").is_symlink()


def test_force_replaces_a_file(cli, here, pair):
    assert cli("soup", *pair, "-o", "out.st").code == 0
    first = contents(here)
    assert cli("soup", *pair, "--weights", "1,0", "-o", "out.st", "--force").code == 0
    second = contents(here)
    assert second.keys() == first.keys()
    assert second["out.st"] != first["out.st"]
    assert cli("soup", *pair, "-o", "out.st", "--force").code == 0
    assert contents(here) == first


@pytest.mark.parametrize("way", ["itself", "symlink", "hard link", "another spelling", "symlinked folder"])
@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("position", [0, 1])
def test_an_output_that_is_an_input(cli, here, pair, way, force, position):
    target = pair[position]
    out = here / "other.st"
    match way:
        case "itself":
            out = target
        case "symlink":
            out.symlink_to(target)
        case "hard link":
            os.link(target, out)
        case "another spelling":
            (here / "folder").mkdir()
            out = here / "folder" / ".." / target.name
        case _:
            (here / "folder").symlink_to(here)
            out = here / "folder" / target.name
    before = contents(here)
    assert_refused(cli("soup", *pair, "-o", out, *force), 2, "one of the inputs")
    assert contents(here) == before


def test_an_input_that_is_a_link_to_the_output(cli, here, pair):
    (here / "link.st").symlink_to(pair[0])
    before = contents(here)
    assert_refused(cli("soup", "link.st", pair[1], "-o", pair[0], "--force"), 2, "one of the inputs")
    assert contents(here) == before


def test_the_base_is_an_input(cli, here, trio):
    base, one, _ = trio
    assert_refused(cli("ties", one, "--base", base, "-o", base, "--force"), 2, "one of the inputs")
    assert_refused(cli("soup", *trio[1:], "--base", base, "-o", base, "--force"), 2, "one of the inputs")


def folder(path, seed):
    save(path / "model.safetensors", random_state(seed))
    (path / "config.json").write_text("{}")
    return path


@pytest.mark.parametrize("inner", [".", "model.safetensors"])
def test_a_folder_that_holds_an_input(cli, here, inner):
    one, two = folder(here / "one", 1), folder(here / "two", 2)
    before = contents(here)
    assert_refused(cli("soup", one / inner, two, "-o", one, "--force"), 2, "one of the inputs")
    assert contents(here) == before


@pytest.mark.parametrize("stranger", ["notes.txt", "sub/notes.txt", ".hidden", "other.safetensors", "weights.bin"])
def test_a_folder_with_a_strangers_file_is_never_replaced(cli, here, stranger):
    one, two = folder(here / "one", 1), folder(here / "two", 2)
    assert cli("soup", one, two, "-o", "out").code == 0
    path = here / "out" / stranger
    path.parent.mkdir(exist_ok=True)
    save(path, random_state(3)) if stranger == "other.safetensors" else path.write_text("precious")
    before = contents(here)
    assert_refused(cli("soup", one, two, "-o", "out", "--force"), 2, stranger.split("/")[0])
    assert contents(here) == before


def test_force_replaces_a_folder_as_a_whole(cli, here):
    one, two = folder(here / "one", 1), folder(here / "two", 2)
    assert cli("soup", one, two, "-o", "out", "--max-shard-size", "500").code == 0
    assert len(list((here / "out").glob("*.safetensors"))) > 1
    assert cli("soup", one, two, "-o", "fresh").code == 0
    assert cli("soup", one, two, "-o", "out", "--force").code == 0
    found, wanted = contents(here / "out"), contents(here / "fresh")
    assert found.keys() == wanted.keys()
    assert found["model.safetensors"] == wanted["model.safetensors"]
    assert {path.name for path in here.iterdir()} == {"one", "two", "out", "fresh"}


def test_a_file_where_a_folder_should_be_and_the_other_way(cli, here, pair):
    (here / "out").write_text("precious")
    (here / "out.st").mkdir()
    before = contents(here)
    assert_refused(cli("soup", *pair, "-o", "out", "--force"), 2, "a file")
    assert_refused(cli("soup", *pair, "-o", "out.st", "--force"), 2, "a folder")
    assert contents(here) == before


def test_missing_folders_are_made_and_removed_again_on_failure(cli, here, pair):
    assert cli("soup", *pair, "-o", "deep/er/out.st").code == 0
    assert (here / "deep" / "er" / "out.st").exists()
    bad = save(here / "bad.st", random_state(1) | {"scale": torch.tensor(float("nan"), dtype=torch.bfloat16)})
    assert_refused(cli("soup", pair[0], bad, "-o", "other/deep/out.st"), 1, "scale")
    assert not (here / "other").exists()


def test_a_file_where_the_outputs_folder_should_be(cli, here, pair):
    before = contents(here)
    assert_refused(cli("soup", *pair, "-o", "a.st/out.st"), 1, "a.st")
    assert contents(here) == before


def _without_override() -> None:
    """Let file modes bind root as well: drop two capabilities from the bounding set before exec."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_folder_that_cannot_be_written(here, pair):
    locked = here / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    refused = run("soup", *pair, "-o", "locked/out.st", cwd=here, preexec_fn=_without_override)
    assert_refused(refused, 1, "locked", "ermission denied")
    assert list(locked.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_an_input_that_cannot_be_read(here, pair):
    pair[1].chmod(0)
    refused = run("soup", *pair, "-o", "out.st", cwd=here, preexec_fn=_without_override)
    assert_refused(refused, 1, "b.st", "ermission denied")


@POSIX
@pytest.mark.parametrize("out", ["out.st", "out"])
def test_no_space(here, out):
    """A limit on the file size stands in for a full disk: the write fails in the middle."""
    for name in "ab":
        save(here / f"{name}.st", {f"w{n}": torch.ones(300_000) for n in range(4)})

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    before = contents(here)
    assert_refused(run("soup", "a.st", "b.st", "-o", out, cwd=here, preexec_fn=limit), 1, "too large")
    assert contents(here) == before


@pytest.mark.skipif(not hasattr(os, "pwrite"), reason="needs positional writes")
@pytest.mark.parametrize("out", ["out.st", "out"])
@pytest.mark.parametrize("calls", [1, 2, 3, 4])
def test_the_disk_fills_up_while_writing(cli, here, monkeypatch, out, calls):
    for name in "ab":
        save(here / f"{name}.st", {f"w{n}": torch.ones(300_000) for n in range(4)})
    former, done = os.pwrite, []

    def write(*arguments):
        done.append(arguments)
        if len(done) >= calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return former(*arguments)

    monkeypatch.setattr(os, "pwrite", write)
    before = contents(here)
    assert_refused(cli("soup", "a.st", "b.st", "-o", out, "--threads", 2), 1, "No space left")
    assert contents(here) == before


def test_too_small_a_disk_is_seen_before_anything_is_read(cli, here, pair, monkeypatch):
    usage = shutil.disk_usage(here)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    before = contents(here)
    assert_refused(cli("soup", *pair, "-o", "out.st"), 1, "100 bytes are free")
    assert contents(here) == before


@pytest.mark.parametrize("failing", ["link", "rename"])
def test_a_failure_at_the_last_step_leaves_nothing(cli, here, pair, monkeypatch, failing):
    """What appears at the output's place while the merge runs is not overwritten."""
    from merge import execute

    former = execute.run

    def intrude(*arguments):
        outcome = former(*arguments)
        if failing == "link":
            (here / "out.st").write_text("precious")
        else:
            (here / "out").mkdir()
            (here / "out" / "precious").write_text("precious")
        return outcome

    monkeypatch.setattr(execute, "run", intrude)
    out = "out.st" if failing == "link" else "out"
    assert_refused(cli("soup", *pair, "-o", out), 1, out)
    assert {path.name for path in here.iterdir()} == {"a.st", "b.st", out}
    assert "precious" in ((here / out) if failing == "link" else (here / out / "precious")).read_text()


def test_the_output_is_written_once_more_the_same(cli, here, pair):
    assert cli("soup", *pair, "-o", "one.st").code == 0
    assert cli("soup", *pair, "-o", "two.st", "--no-fsync").code == 0
    assert (here / "one.st").read_bytes() == (here / "two.st").read_bytes()
    assert load(here / "one.st").keys() == random_state(0).keys()


def test_a_file_in_the_folder_of_an_input(cli, here, pair):
    """The folder would hold two models then. A file beside inputs that are files themselves is no harm."""
    for name, path in zip("xy", pair, strict=True):
        (here / name).mkdir()
        shutil.copy(path, here / name / "part-00001.safetensors")
    before = contents(here)
    assert_refused(cli("soup", "x", "y", "-o", "x/model.safetensors"), 2, "x/model.safetensors", "folder of an input")
    assert contents(here) == before
    files = ("x/part-00001.safetensors", "y/part-00001.safetensors")
    assert cli("soup", *files, "-o", "x/out.st").code == 0


def test_chat_templates_that_are_left_behind_are_named(cli, here, pair):
    for name, path in zip("xy", pair, strict=True):
        (here / name / "additional_chat_templates").mkdir(parents=True)
        shutil.copy(path, here / name / "model.safetensors")
    assert "x/additional_chat_templates is not copied" in cli("soup", "x", "y", "-o", "out").out
