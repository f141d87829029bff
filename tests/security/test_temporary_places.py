"""Files that are made on the way: not through links that others left, readable as the user's mask says."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkpoint_files import random_state, save
from command_line import Result, assert_refused, contents

from merge.evaluation.desk import Desk, Work
from merge.evaluation.task import Settings

Cli = Callable[..., Result]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither modes nor links for everybody")


@pytest.fixture
def victim(here: Path) -> Path:
    """A folder of the user's, with files of the names that a merge builds."""
    folder = here / "victim"
    (folder / "result").mkdir(parents=True)
    for name in ("journal", "lock", "result/out.st", "out.st"):
        (folder / name).write_text("mine")
    return folder


LINKS = {
    "the folder": (".out.st.merging", "victim"),
    "the result": (".out.st.merging/result", "victim"),
    "the journal": (".out.st.merging/journal", "victim/journal"),
    "the lock": (".out.st.merging/lock", "victim/lock"),
    "a lock to nowhere": (".out.st.merging/lock", "victim/new"),
}


@pytest.mark.parametrize("case", LINKS)
@pytest.mark.parametrize("flags", [(), ("--resume",), ("--force",)])
def test_links_where_an_output_is_built(
    cli: Cli, here: Path, pair: tuple[Path, Path], victim: Path, case: str, flags: tuple[str, ...]
) -> None:
    name, target = LINKS[case]
    (here / name).parent.mkdir(exist_ok=True)
    (here / name).symlink_to(here / target)
    before = contents(victim)
    assert_refused(cli("soup", *pair, "-o", "out.st", *flags, "--quiet"), 1, name, "a link stands where")
    assert contents(victim) == before
    assert not (here / "out.st").exists()


def test_files_of_an_evaluation_lie_where_nobody_else_writes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(here))
    desks = [Desk(Work("name", Settings(), None, 1, 1, True)) for _ in range(2)]
    assert desks[0].folder != desks[1].folder
    with desks[0]._folder():
        assert stat.S_IMODE(desks[0].folder.stat().st_mode) == 0o700
    assert not desks[0].folder.exists()
    desks[1].folder.symlink_to(here)
    with pytest.raises(FileExistsError), desks[1]._folder():
        pass


@pytest.fixture(params=[0o027, 0o002])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_outputs_keep_the_mask(cli: Cli, here: Path, pair: tuple[Path, Path], mask: int) -> None:
    folders = [here / name for name in ("a", "b")]
    for number, folder in enumerate(folders):
        save(folder / "model.safetensors", random_state(number))
        (folder / "config.json").write_text("{}")
        (folder / "config.json").chmod(0o600)
    assert cli("soup", *pair, "-o", "new/out.st", "--report", "report", "--quiet").code == 0
    assert cli("soup", *folders, "-o", "folder", "--max-shard-size", "1KB", "--quiet").code == 0
    made = [path for top in ("new", "report", "folder") for path in (here / top, *(here / top).rglob("*"))]
    assert len(made) > 8
    for path in made:
        wanted = (0o777 if path.is_dir() else 0o666) & ~mask
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
