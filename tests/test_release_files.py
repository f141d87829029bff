"""What goes with a release says the same everywhere: version, licence, Python versions, commands, lowest versions."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib

import pytest
from command_line import ROOT
from lowest_versions import constraints, lowest
from ruamel.yaml import YAML

from merge.version import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def yaml(name):
    return YAML(typ="safe").load((ROOT / name).read_text("utf-8"))


WORKFLOW = yaml(".github/workflows/ci.yml")


def commands(job):
    """Return every command of a job, split at ``&&``."""
    lines = [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]
    return [part.strip() for line in lines for part in line.split("&&")]


def test_the_citation_is_of_this_version_and_licence():
    found = yaml("CITATION.cff")
    assert found["cff-version"] == "1.2.0"
    assert found["type"] == "software"
    assert found["version"] == __version__
    assert found["license"] == PROJECT["license"]
    assert found["authors"] == [{"name": "merge contributors"}]
    assert all(found[name] for name in ("message", "title", "abstract"))
    keys = {"cff-version", "message", "type", "title", "abstract", "authors", "version", "license", "keywords"}
    assert set(found) <= keys


def test_the_changelog_begins_with_this_version():
    headings = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert headings[0].split()[0] == __version__
    for heading in headings:
        assert re.fullmatch(r"\d+\.\d+\.\d+ \((unreleased|\d{4}-\d\d-\d\d)\)", heading), heading
    versions = [tuple(map(int, heading.split()[0].split("."))) for heading in headings]
    assert versions == sorted(set(versions), reverse=True)
    assert not any("(unreleased)" in heading for heading in headings[1:])


def test_every_change_is_an_entry_of_its_own():
    entries = re.split(r"^- ", re.sub(r"^#.*$", "", CHANGELOG, flags=re.MULTILINE), flags=re.MULTILINE)
    assert entries[0].strip() == ""
    for entry in entries[1:]:
        assert entry.strip().endswith("."), entry
        assert all(line.startswith("  ") for line in entry.rstrip().splitlines()[1:]), entry


def test_contributing_is_short_and_says_how():
    assert len(CONTRIBUTING.splitlines()) < 40
    command = next(line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "pytest" in line)
    assert command in CONTRIBUTING
    for place in re.findall(r"`([\w./]+/[\w.]*|\w+\.\w+)`|\]\(([^)]+)\)", CONTRIBUTING):
        assert (ROOT / "".join(place)).exists(), place


def test_the_matrix_is_what_the_package_promises():
    promised = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in PROJECT["classifiers"]]
    versions = [found[1] for found in promised if found]
    assert WORKFLOW["jobs"]["tests"]["strategy"]["matrix"]["python"] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"
    (lowest_python,) = {
        step["with"]["python-version"] for step in WORKFLOW["jobs"]["lowest-versions"]["steps"] if "with" in step
    }
    assert lowest_python == versions[0]


def test_the_workflow_calls_what_is_there():
    assert ".ci/run" in commands("tests")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert 'grep -m1 "^pip install -e " README.md' in (ROOT / ".ci" / "run").read_text("utf-8")
    low = commands("lowest-versions")
    assert "python tests/lowest_versions.py > lowest.txt" in low
    assert low[-1] == "pytest"
    for command in low:
        for extra in re.findall(r"\.\[(\w+)\]", command):
            assert extra in PROJECT["optional-dependencies"]
    built = commands("packages")
    assert {"python -m build", "mkdocs build --strict", "merge demo", "pip install '.[docs]'"} <= set(built)
    assert "docs" in PROJECT["optional-dependencies"]
    for name, job in WORKFLOW["jobs"].items():
        assert job["timeout-minutes"] > 0, name


def test_lowest_versions_are_those_of_pyproject():
    found = constraints()
    assert all(re.fullmatch(r"[\w.-]+==\d[\w.]*", line) for line in found), found
    named = {line.partition("==")[0] for line in found}
    assert {"numpy", "torch", "typer", "s3fs", "ray", "cma", "datasets", "lm-eval"} <= named
    assert not named & {"pytest", "ruff", "mypy", "moto"}
    assert len(named) == len(found), "one package has two lowest versions"


@pytest.mark.parametrize("requirement", ["numpy", "numpy==2.0", "numpy>=2.0,<3", "numpy>=2; python_version<'4'"])
def test_a_requirement_without_a_plain_lowest_version_is_refused(requirement):
    with pytest.raises(ValueError, match="NAME>=VERSION"):
        lowest(requirement)


def test_constraints_are_printed():
    command = [sys.executable, str(ROOT / "tests" / "lowest_versions.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == constraints(), shlex.join(command)


def test_installed_packages_are_not_older_than_promised():
    """Where the lowest versions are installed, this shows that they are what is tested."""
    from importlib.metadata import PackageNotFoundError, version

    for line in constraints():
        name, _, least = line.partition("==")
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        numbers = [[int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3]] for text in (found, least)]
        assert numbers[0] >= numbers[1], name
