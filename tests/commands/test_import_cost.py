"""What is imported for what: seen from a process that prints its modules at the end. No clock is looked at."""

from __future__ import annotations

import subprocess
import sys

import pytest
from checkpoint_files import save
from command_line import environment, run

PROBE = """
import sys
from merge.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as leave:
    code = leave.code
print("\\nMODULES", code, *sorted(name for name in sys.modules if "." not in name))
"""
# Without pydantic, which typer itself imports where it is installed.
HEAVY = {"torch", "transformers", "open_clip", "scipy", "sklearn", "matplotlib", "jinja2", "huggingface_hub"}


def modules(cwd, *arguments: object) -> tuple[str, set[str]]:
    """Return the exit code and the top-level modules that were imported."""
    command = [sys.executable, "-c", PROBE, *map(str, arguments)]
    found = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=True)
    code, *names = found.stdout.rsplit("MODULES ", 1)[1].split()
    return code, set(names)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], "0"),
        (["--version"], "0"),
        (["soup", "--help"], "0"),
        (["ties", "--help"], "0"),
        (["run", "--help"], "0"),
        (["sopu"], "2"),
        (["soup", "a.st"], "2"),
        (["soup", "a.st", "b.st", "--nope"], "2"),
        (["soup", "nope.st", "b.st", "-o", "out.st"], "2"),
        (["soup", "a.st", "b.st", "-o", "out.st", "--dry-run"], "0"),
        (["soup", "a.st", "b.st", "-o", "out.st", "--dry-run", "--json"], "0"),
        (["ties", "a.st", "--base", "b.st", "-o", "out.st", "--dry-run"], "0"),
        (["run", "recipe.yaml", "--dry-run"], "0"),
        (["methods"], "0"),
        (["new", "soup"], "0"),
        (["schema"], "0"),
        (["bn-reset", "--help"], "0"),
        (["bn-reset", "a.st", "-o", "out.st"], "2"),
        (["bn-reset", "a.st", "--data", "builtin:digits", "-o", "out.st"], "2"),
        (["repair", "a.st", "--data", "builtin:digits", "-o", "out.st"], "2"),
        (["calibrate", "--help"], "0"),
        (["calibrate", "gram", "--help"], "0"),
        (["calibrate", "gram", "a.st", "-o", "out.st"], "2"),
        (["calibrate", "fisher", "a.st", "--data", "builtin:digits", "-o", "b.st"], "2"),
    ],
    ids=" ".join,
)
def test_light_requests_import_neither_torch_nor_numpy(here, pair, arguments, code):
    (here / "recipe.yaml").write_text("merge: soup\nmodels: [a.st, b.st]\noutput: out.st\n")
    found, names = modules(here, *arguments)
    assert found == code
    assert not names & (HEAVY | {"numpy", "ml_dtypes", "safetensors"})


@pytest.mark.parametrize("arguments", [["soup", "a.st", "b.st"], ["ties", "a.st", "--base", "b.st"]], ids=" ".join)
def test_a_merge_on_the_cpu_imports_no_torch(here, pair, arguments):
    found, names = modules(here, *arguments, "-o", "out.st")
    assert found == "0"
    assert ("numpy" in names) or arguments[0] == "soup"  # a compiled sum needs none
    assert not names & (HEAVY | {"safetensors"})


def test_asking_for_torch_is_seen_by_this_test(here, pair):
    _, names = modules(here, "soup", "a.st", "b.st", "-o", "out.st", "--device", "cuda:99")
    assert "torch" in names


def test_the_launcher_of_a_checkout(here, pair):
    from command_line import ROOT

    found = subprocess.run(
        [sys.executable, ROOT / "cli.py", "soup", "a.st", "b.st", "-o", "out.st"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert (here / "out.st").exists()


def test_version_and_help(tmp_path):
    from merge.version import __version__

    assert run("--version", cwd=tmp_path).out == f"merge-checkpoints {__version__}\n"
    text = run("--help", cwd=tmp_path).out
    for word in ("soup", "ties", "task-arithmetic", "run", "Merge methods"):
        assert word in text
    assert text.index("Start here") < text.index("Merge methods")


def test_help_lists_every_command_by_its_name_and_under_a_title_of_ours(tmp_path):
    from merge.cli import command_names

    text = run("--help", cwd=tmp_path).out
    listed = {line.split()[1] for line in text.splitlines() if line.startswith("│ ") and line[2] != " "}
    assert not set(command_names()) - listed
    assert "─ Commands ─" not in text  # Typer's own title, for commands that have none


def test_no_arguments_is_help_and_wrong_usage(tmp_path):
    result = run(cwd=tmp_path)
    assert result.code in {0, 2}
    assert "soup" in result.out + result.err


def test_a_reader_that_goes_away_is_no_accident(here):
    """``merge … --dry-run --json | head``: a closed pipe ends the run without a traceback."""
    for name in "ab":
        save(here / f"{name}.st", {f"layers.{n}.w": __import__("torch").zeros(1) for n in range(2000)})
    shell = f"{sys.executable} -m merge soup a.st b.st -o out.st --dry-run --json | head -c 10"
    found = subprocess.run(shell, shell=True, cwd=here, env=environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in found.stderr
    assert "BrokenPipe" not in found.stderr
