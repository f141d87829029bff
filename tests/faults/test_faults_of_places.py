"""Places for an output that cannot be written, vanish on the way, or hold something else than a file."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from faults_forks import STOP, Surroundings, at
from faults_workshop import contents

NOBODY = 65534


@pytest.fixture
def open_place():
    """A folder that every user can look into: that of pytest is its owner's alone."""
    folder = Path(tempfile.mkdtemp(prefix="merge-faults-")).resolve()
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def soup(shop, folder, out, *more, user=0, **how):
    models = [folder / "a.st", folder / "b.st"]
    for path in models:
        if not path.exists():
            shutil.copy(shop.inputs / path.name, path)
            path.chmod(0o644)
    return shop.forks.run(("soup", *models, "-o", out, *more), folder, around=Surroundings(user=user), **how)


def unprivileged() -> int:
    """Return as which user a test of permissions runs: root may do everything."""
    return NOBODY if os.geteuid() == 0 else 0


def assert_one_line(ending, *words):
    assert ending.code in (1, 2), ending
    assert len(ending.err.splitlines()) == 1, ending.err
    assert ending.err.startswith("merge: ")
    assert "unexpected" not in ending.err
    for word in words:
        assert word in ending.err


def test_a_folder_that_may_not_be_written(shop, open_place):
    soup(shop, open_place, "learnt.st", learn=True)
    out = open_place / "locked"
    out.mkdir(mode=0o555)
    ending = soup(shop, open_place, out / "out.st", user=unprivileged())
    assert_one_line(ending, str(out), "Permission denied")
    assert contents(out) == {}


def test_an_input_that_may_not_be_read(shop, open_place):
    soup(shop, open_place, "learnt.st", learn=True)
    (open_place / "b.st").chmod(0)
    if unprivileged():
        open_place.chmod(0o777)
    assert_one_line(soup(shop, open_place, "out.st", user=unprivileged()), "b.st", "Permission denied")
    assert not (open_place / "out.st").exists()


@pytest.mark.parametrize("number", [6, 12, 18, 24])
def test_a_folder_that_is_removed_on_the_way(shop, tmp_path, number):
    place = tmp_path / "place"
    place.mkdir()
    (place / "sub").mkdir()
    models = [shop.inputs / "a.st", shop.inputs / "b.st"]
    around = Surroundings(meanwhile=["/bin/rm", "-rf", str(place / "sub")])
    arguments = ("soup", *models, "--threads", "1", "-o", place / "sub" / "out.st")
    ending = shop.forks.run(arguments, place, at(STOP, number), around, under=place)
    assert ending.fired
    if ending.code:  # else it was removed with the output that had just come into it
        assert_one_line(ending, "sub")
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_another_disk(shop, tmp_path):
    elsewhere = Path("/dev/shm")
    if not os.access(elsewhere, os.W_OK) or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    with tempfile.TemporaryDirectory(dir=elsewhere) as name:
        assert soup(shop, tmp_path, Path(name) / "out.st").code == 0
        assert soup(shop, tmp_path, Path(name) / "out.st", "--force", "--weights", "1,3").code == 0
        assert sorted(contents(Path(name))) == ["out.st", "out.st.md"]


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_pipe_and_a_device_stay_what_they_are(shop, tmp_path, force):
    os.mkfifo(tmp_path / "out.st")
    (tmp_path / "full.st").symlink_to("/dev/full")
    assert_one_line(soup(shop, tmp_path, "out.st", *force), "out.st")
    assert stat.S_ISFIFO((tmp_path / "out.st").lstat().st_mode)
    assert_one_line(soup(shop, tmp_path, "full.st", *force), "full.st")
    assert (tmp_path / "full.st").is_symlink()
    assert_one_line(soup(shop, tmp_path, "/dev/full", *force), "/dev/full")
