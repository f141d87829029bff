"""What TAB offers, asked for as the script of each shell asks."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer
from asking import SHELLS, candidates, variables
from command_line import ROOT, called, environment

from merge.cli import app, main
from merge.dtypes import float_names
from merge.evaluation.specification import suite_names
from merge.recipe import POLICIES
from merge.registry import find_method, method_names
from merge.schema import SCHEMAS


@pytest.fixture(params=SHELLS)
def offered(request, here, monkeypatch, capsys):
    """Return what a shell is offered after a line."""
    monkeypatch.setenv("COLUMNS", "40")  # which Typer must not heed

    def ask(line):
        for name, value in variables(request.param, line).items():
            monkeypatch.setenv(name, value)
        called(main, [])
        answer = capsys.readouterr()
        assert answer.err == ""
        return candidates(request.param, answer.out)

    return ask


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("merge so", ["soup"]),
        ("merge ties --den", ["--density"]),
        ("merge ties a.st b.st --base base.st --trim-s", ["--trim-scope"]),
        ("merge ties --trim-scope ", ["tensor", "checkpoint"]),
        ("merge ties --missing ", list(POLICIES)),
        ("merge soup --strategy l", ["learned"]),
        ("merge soup a.st b.st --dtype bf", ["bfloat16"]),
        ("merge soup --device ", ["auto", "cpu", "cuda"]),
        ("merge lines --alpha ", ["auto"]),
        ("merge rebasin --emit p", ["permutations"]),
        ("merge calibrate f", ["fisher"]),
        ("merge calibrate gram --pad", ["--padding"]),
        ("merge calibrate gram --padding ", ["masked", "counted"]),
        ("merge calibrate gram --device c", ["cpu", "cuda"]),
        ("merge t3 --mode b", ["batch"]),
        ("merge adapters --method task", ["task-arithmetic"]),
        ("merge search --sampler c", ["cma"]),
        ("merge extract-lora --embeddings w", ["whole"]),
        ("merge eval --ensemble p", ["probs"]),
        ("merge new ti", ["ties"]),
        ("merge methods t", ["t3", "ties", "trimmed-mean", "tsv-m", "task-arithmetic"]),
        ("merge schema rec", ["recipe"]),
        ("merge --v", ["--version"]),
    ],
)
def test_words_that_fit(offered, line, wanted):
    assert sorted(offered(line)) == sorted(wanted)


def test_all_commands_and_the_flags_of_the_program(offered):
    assert {"soup", "ties", "t3", "moe", "run", "eval", "calibrate", *method_names()} <= set(offered("merge "))
    assert {"--version", "--help", "--install-completion", "--show-completion"} == set(offered("merge --"))


def test_every_flag_of_a_command(offered):
    found = set(offered("merge dare --"))
    assert {
        option.flag for option in find_method("dare").options.declarations.values() if option.type is not bool
    } <= found
    assert {"--ties", "--no-ties", "--out", "--base", "--dry-run", "--resume"} <= found


def test_benchmarks_and_yaml_files(offered, here):
    (here / "digits-mine.yaml").touch()
    (here / "digits-mine.npz").touch()
    (here / "mine").mkdir()
    (here / "mine" / "own.yml").touch()
    wanted = {name for name in suite_names() if name.startswith("dig")} | {"digits-mine.yaml"}
    assert set(offered("merge eval out.st --benchmark dig")) == wanted
    assert set(offered("merge soup --report-benchmark dig")) == wanted
    assert offered("merge eval --benchmark mine/o") == ["mine/own.yml"]
    assert offered("merge eval --benchmark nowhere/o") == []


def test_schemas(offered):
    assert set(offered("merge schema ")) == set(SCHEMAS)


@pytest.mark.parametrize(
    "line", ["merge run rec", "merge soup a", "merge soup -o ", "merge diff a.st b", "merge inspect "]
)
def test_files_are_left_to_the_shell(offered, here, line):
    (here / "recipe.yaml").touch()
    assert offered(line) == []


@pytest.mark.parametrize(
    "line", ["merge sopu --f", "merge nothing ", "merge ties --nothing x --den", "merge calibrate nothing --d"]
)
def test_a_mistake_in_the_line_prints_nothing(offered, line):
    offered(line)  # the fixture looks that nothing is on stderr


def test_every_option_with_choices_offers_them():
    group = typer.main.get_command(app)
    for name in method_names():
        command = group.get_command(None, name)
        flags = {flag: parameter for parameter in command.params for flag in parameter.opts}
        for option in find_method(name).options.declarations.values():
            if option.choices and not option.per_model:
                context = typer.Context(command, info_name=name, resilient_parsing=True)
                found = [item.value for item in flags[option.flag].shell_complete(context, "")]
                assert found == [*option.choices, *option.words], (name, option.name)


def test_types_are_those_that_are_taken():
    assert {"float16", "bfloat16", "float32", "float64", "float8_e4m3fn"} <= set(float_names())


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line", ["merge so", "merge ties --device ", "merge eval --benchmark dig", "merge new ti"])
def test_nothing_heavy_is_imported(tmp_path, shell, line):
    command = [sys.executable, "-X", "importtime", "-m", "merge"]
    found = subprocess.run(
        command, cwd=tmp_path, env=environment(**variables(shell, line)), capture_output=True, text=True, check=True
    )
    assert candidates(shell, found.stdout)
    imported = set(re.findall(r"\|\s+(\w+)$", found.stderr, re.MULTILINE))
    assert "typer" in imported
    assert not imported & {"torch", "numpy", "scipy", "transformers", "huggingface_hub", "open_clip", "jinja2"}


@pytest.mark.parametrize("program", ["merge", "merge-checkpoints"])
@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_for_the_name_that_was_called(cli, monkeypatch, shell, program):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "bin" / program)])
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    script = cli("--show-completion", shell)
    assert script.code == 0
    assert f"_{program.replace('-', '_').upper()}_COMPLETE=complete_{shell}" in script.out
    assert re.search(rf"(complete -o default -F \w+|compdef \w+|--command) {program}\b", script.out)
