"""A method in a package of its own, as `docs/writing-a-method.md` shows it: built, installed, found and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from command_line import ROOT, Result, environment
from documentation.blocks import Block
from documentation.play import Cli, play

# Not imported here: pip and setuptools do not get on in one process.
pytestmark = pytest.mark.skipif(not (find_spec("pip") and find_spec("setuptools")), reason="nothing to install with")
PAGE = (ROOT / "docs" / "writing-a-method.md").read_text("utf-8")
A = {"w": torch.tensor([1.0, -2.0, 3.0, 0.0]), "layers.0.w": torch.tensor([4.0]), "layers.1.w": torch.tensor([4.0])}
B = {
    "w": torch.tensor([6.0, 12.0, -2.0, 0.0]),
    "layers.0.w": torch.tensor([-12.0]),
    "layers.1.w": torch.tensor([-12.0]),
}


def block(language: str) -> str:
    """Return the one code block of a language in the page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


def install(source: Path, target: Path, files: dict[str, str]) -> Path:
    """Write a distribution and install it into a folder, from nothing but what is here."""
    source.mkdir()
    for name, text in files.items():
        (source / name).write_text(text, "utf-8")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    more = ["--disable-pip-version-check", "--target", str(target), str(source)]
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the page's distribution is installed."""
    folder = tmp_path_factory.mktemp("package")
    files = {"toward_largest.py": block("python"), "pyproject.toml": block("toml")}
    return install(folder / "source", folder / "installed", files)


@pytest.fixture
def merge(package, here):
    """Run the tool in a process that finds the installed distribution; there are two models, ``a.st`` and ``b.st``."""
    save(here / "a.st", A)
    save(here / "b.st", B)
    return lambda *arguments: run(package, here, *arguments)


def run(package: Path, folder: Path, *arguments: str) -> Result:
    path = environment(PYTHONPATH=f"{package}{os.pathsep}{ROOT}")
    command = [sys.executable, "-m", "merge", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=path, cwd=folder, check=False, timeout=120)
    return Result(done.returncode, done.stdout, done.stderr)


def numbers(path: Path) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in load(path).items()}


def succeeded(result: Result) -> str:
    assert result.code == 0, result.err
    return result.out


def test_it_is_listed(merge):
    listed = succeeded(merge("methods")).splitlines()
    (line,) = [line for line in listed if line.startswith("toward-largest")]
    assert "2+" in line
    assert "Average moved toward the entry of largest magnitude." in line
    assert any(line.startswith("ties ") for line in listed)
    assert "toward-largest" in succeeded(merge("--help"))


def test_its_flags_come_from_its_options(merge):
    text = succeeded(merge("methods", "toward-largest"))
    for words in ("theta = (1 - share)", "--weight ", "--share", "How far to move.", ">= 0 and <= 1"):
        assert words in text
    assert "--share" in succeeded(merge("toward-largest", "--help"))
    refused = merge("toward-largest", "a.st", "b.st", "--share", "2", "-o", "out.st")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "merge: --share: share must be >= 0 and <= 1, not 2.0\n"
    assert "at least 2 models" in merge("toward-largest", "a.st", "-o", "out.st").err
    assert "did you mean 'toward-largest'?" in merge("toward-largst", "a.st", "b.st", "-o", "out.st").err


def test_it_merges(merge, here):
    succeeded(merge("toward-largest", "a.st", "b.st", "-o", "out.st"))
    # Means 3.5, 5, 0.5, 0 and -4; half way to the largest, 6, 12, 3, 0 and -12.
    assert numbers(here / "out.st") == {"w": [4.75, 8.5, 1.75, 0], "layers.0.w": [-8], "layers.1.w": [-8]}
    succeeded(merge("verify", "out.st"))
    succeeded(merge("toward-largest", "a.st", "b.st", "-o", "two.st", "--workers", "2"))
    assert (here / "two.st").read_bytes() == (here / "out.st").read_bytes()


def test_it_merges_under_the_name_of_its_module(package, here):
    """In names of methods `_` and `-` are the same."""
    save(here / "a.st", A)
    save(here / "b.st", B)
    succeeded(
        run(package, here, "toward_largest", "a.st", "b.st", "--share", "1", "--dtype", "bfloat16", "-o", "out.st")
    )
    found = load(here / "out.st")["w"]
    assert found.dtype == torch.bfloat16
    assert found.tolist() == [6, 12, 3, 0]


def installed(block: Block, cli: Cli) -> None:
    """A file of the distribution: the fixture has installed it."""
    assert block.language in ("python", "toml")


def test_the_commands_of_the_page(merge, here):
    play("writing-a-method.md", merge, installed, installed, "recipe.yaml")
    # The models are 1, -2, 3, 0 and 3, 6, -1, 0 then; 4 and -6. The means are 2, 2, 1, 0 and -1.
    # A quarter of the way to 3, 6, 3, 0 and -6:
    assert numbers(here / "out.st") == {"w": [2.25, 3, 1.5, 0], "layers.0.w": [-2.25], "layers.1.w": [-2.25]}
    # Half of the way, but none in the first block and all in the last:
    assert numbers(here / "by-recipe.st") == {"w": [2.5, 4, 2, 0], "layers.0.w": [-1], "layers.1.w": [-6]}


def test_its_new_recipe_runs(merge, here):
    text = succeeded(merge("new", "toward-largest"))
    assert "merge: toward-largest" in text
    assert "share: 0.5" in text
    for name in "ab":
        text = text.replace(f"./tuned-{'ab'.index(name) + 1}", f"./{name}.st")
    (here / "new.yaml").write_text(text.replace("./merged", "./new.st"))
    succeeded(merge("run", "new.yaml"))
    assert numbers(here / "new.st")["w"] == [4.75, 8.5, 1.75, 0]  # with the defaults, as above


def test_its_recipe_keys_are_in_the_schema(merge):
    assert '"toward-largest"' in succeeded(merge("schema"))


def test_it_is_gone_without_the_package(here, package):
    save(here / "a.st", A)
    refused = run(here, here, "toward-largest", "a.st", "a.st", "-o", "out.st")
    assert refused.code == 2
    assert "no command or method 'toward-largest'" in refused.err


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a distribution whose method cannot be imported."""
    folder = tmp_path_factory.mktemp("broken")
    files = {"toward_largest.py": "import a_module_that_is_not_there\n", "pyproject.toml": block("toml")}
    return install(folder / "source", folder / "installed", files)


@pytest.mark.parametrize("arguments", [["soup", "a.st", "b.st", "-o", "out.st"], ["methods"], ["--help"], ["schema"]])
def test_a_broken_package_does_not_break_the_others(broken, here, arguments):
    save(here / "a.st", A)
    save(here / "b.st", B)
    succeeded(run(broken, here, *arguments))


def test_a_broken_package_is_named(broken, here):
    save(here / "a.st", A)
    refused = run(broken, here, "toward-largest", "a.st", "a.st", "-o", "out.st")
    assert refused.code == 1
    assert refused.err.startswith("merge: the method 'toward-largest' of another package cannot be imported: ")
    assert "a_module_that_is_not_there" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_every_file_that_the_page_names_is_there():
    links = re.findall(r"\]\((\.\./[^)]+)\)", PAGE)
    assert len(links) > 10
    for link in links:
        assert (ROOT / "docs" / link).is_file(), link


def test_the_page_names_everything_that_a_method_may_set_or_ask():
    """What is public in the contract is on the page."""
    from merge import reduction
    from merge.method import Context, Method, WeightedSum

    kept = {"options", "name", "summary", "paper", "needs_base", "reads_base"}  # made by the class itself
    words = set(re.findall(r"\w+", PAGE))
    for kind in (Context, Method, WeightedSum):
        public = {name for name in vars(kind) if not name.startswith("_")}
        assert not (public - kept) - words, kind.__name__
    assert {kind.__name__ for kind in (reduction.Gram, reduction.Sums, reduction.Largest, reduction.Share)} <= words
