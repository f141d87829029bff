"""The wheel holds the package and nothing else, the sdist makes that wheel, and what is installed merges."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from checkpoint_files import assert_same, load, random_state, save
from command_line import ROOT, environment

KEPT = ("*.py", "*.pyi", "*.yaml", "*.json", "*.jinja", "*.css", "*.js", "py.typed")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the folder of an sdist of what is tracked, and of the wheel that was made from the sdist."""
    source = tmp_path_factory.mktemp("source") / "checkout"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", source / "dist", source]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def sources(built):
    """Return the names in the sdist, below its one folder."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = [name.partition("/") for name in archive.getnames()]
    assert len({folder for folder, _, _ in names}) == 1
    return {rest for _, _, rest in names}


@pytest.fixture(scope="module")
def package_files(built):
    """Return the files of the package that was built."""
    source = built.parent
    return {str(path.relative_to(source)) for pattern in KEPT for path in (source / "merge").rglob(pattern)}


def test_the_top_level_is_merge_alone(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert len(top) == 2
    assert "merge" in top
    assert (top - {"merge"}).pop().endswith(".dist-info")


def test_every_file_of_the_package_is_in_both(wheel, sources, package_files):
    assert package_files <= set(wheel.namelist())
    assert package_files <= sources


def test_nothing_else_is_in_the_wheel(wheel, package_files):
    compiled = {name for name in wheel.namelist() if name.startswith("merge/") and name not in package_files}
    assert all(name.startswith("merge/streaming/_kernels.") for name in compiled)
    assert all(name.endswith((".so", ".pyd")) for name in compiled)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler")
def test_the_kernels_were_compiled_from_the_sdist(wheel):
    assert any("/_kernels." in name for name in wheel.namelist())


def test_the_sdist_has_what_tells_about_it_and_nothing_of_the_workshop(sources):
    told = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "pyproject.toml"}
    assert told <= sources
    assert {f"recipes/{path.name}" for path in (ROOT / "recipes").glob("*.yaml")} <= sources
    assert {f"merge/streaming/{path.name}" for path in (ROOT / "merge" / "streaming").glob("*.[ch]")} <= sources
    assert not {name.split("/")[0] for name in sources} & {"tests", "benchmarks", "docs", ".ci", ".github", ".git"}


def test_both_scripts_and_the_licence(wheel):
    read = {name.rsplit("/", 1)[-1]: name for name in wheel.namelist()}
    scripts = wheel.read(read["entry_points.txt"]).decode()
    assert "merge = merge.cli:main" in scripts
    assert "merge-checkpoints = merge.cli:main" in scripts
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    assert "Name: merge-checkpoints" in wheel.read(read["METADATA"]).decode()


def test_what_the_wheel_installs_merges(built, tmp_path):
    """With the libraries that are here; the scripts, too, are those of the wheel."""
    (path,) = built.glob("*.whl")
    place = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place, path]
    subprocess.run(command, check=True, capture_output=True)
    for number, name in enumerate(("a.st", "b.st")):
        save(tmp_path / name, random_state(number))
    names = environment(PYTHONPATH=str(place))
    soup = [sys.executable, str(place / "bin" / "merge-checkpoints"), "soup", "a.st", "b.st", "-o"]
    ended = subprocess.run([*soup, "out.st"], cwd=tmp_path, env=names, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = "import merge; print(merge.__file__)"
    here = subprocess.run(
        [sys.executable, "-c", found], cwd=tmp_path, env=names, capture_output=True, text=True, check=True
    )
    assert str(place) in here.stdout
    names["PYTHONPATH"] = str(ROOT)
    checkout = [sys.executable, "-m", "merge", "soup", "a.st", "b.st", "-o", "same.st"]
    subprocess.run(checkout, cwd=tmp_path, env=names, check=True, capture_output=True)
    assert_same(load(tmp_path / "out.st"), load(tmp_path / "same.st"))
