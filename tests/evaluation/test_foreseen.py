"""An output of which nothing will say what it is: refused before it is made, where it is to be evaluated."""

from __future__ import annotations

import pytest
from command_line import assert_refused

GIVEN = ("--base", "base.st", "-o", "out.st", "--report-benchmark", "b.yaml")
CASES = {"one output": (), "a sweep": ("--sweep", "alpha=0,1")}


@pytest.fixture
def models(here, pair):
    for path, name in zip(pair, ("base.st", "tuned.st"), strict=True):
        path.rename(name)
    (here / "b.yaml").write_text("kind: classification\ndata: {path: builtin:digits}\n")
    return here


@pytest.mark.parametrize("case", CASES)
def test_a_bare_file_needs_an_architecture(cli, models, case):
    result = cli("wise-ft", "tuned.st", *GIVEN, *CASES[case])
    assert_refused(result, 2, "no config.json will lie beside the weights of", "'model:' in the benchmark")
    assert not list(models.glob("out*"))


def test_one_that_is_named_is_enough(cli, models):
    (models / "model.py").write_text("")
    assert cli("wise-ft", "tuned.st", *GIVEN, "--model", "model.py:Network", "--dry-run").code == 0
    with (models / "b.yaml").open("a") as file:
        file.write("model: model.py:Network\n")
    assert cli("wise-ft", "tuned.st", *GIVEN, "--dry-run").code == 0


def test_one_that_lies_beside_the_file_is_enough(cli, models):
    (models / "config.json").write_text("{}")
    assert cli("wise-ft", "tuned.st", *GIVEN, "--dry-run").code == 0
