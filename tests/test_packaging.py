"""The wheel holds the package and nothing else, with everything that it needs at run time."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from command_line import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "checkout"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_top_level_is_merge_alone(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert len(top) == 2
    assert "merge" in top
    assert (top - {"merge"}).pop().endswith(".dist-info")


def test_every_file_of_the_package_is_in_it(wheel):
    names = set(wheel.namelist())
    for pattern in ("*.py", "*.yaml", "*.json", "*.jinja", "py.typed"):
        for path in (ROOT / "merge").rglob(pattern):
            assert str(path.relative_to(ROOT)) in names


def test_both_scripts_and_the_licence(wheel):
    read = {name.rsplit("/", 1)[-1]: name for name in wheel.namelist()}
    scripts = wheel.read(read["entry_points.txt"]).decode()
    assert "merge = merge.cli:main" in scripts
    assert "merge-checkpoints = merge.cli:main" in scripts
    assert any("LICENSE" in name for name in wheel.namelist())
    assert "Name: merge-checkpoints" in wheel.read(read["METADATA"]).decode()
