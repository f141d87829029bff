"""``merge barrier A B C …``: the curve of every pair, as each has it alone, and their barriers as matrices."""

from __future__ import annotations

import json
import re
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from checkpoint_files import load, save
from command_line import assert_refused
from test_layer_barriers import MODEL, barrier, here

from merge.schema import SCHEMAS

__all__ = ["here"]
FOUR = ("a.st", "b.st", "c.st", "d.st")


def test_every_curve_is_that_of_the_pair_alone(cli, here):
    document = barrier(cli, *FOUR, "--benchmark", "train.yaml")
    jsonschema.validate(document, SCHEMAS["barrier-matrix"]())
    assert document["models"] == list(FOUR)
    assert len(document["pairs"]) == 12
    for first, second in combinations(range(4), 2):
        alone = barrier(cli, FOUR[first], FOUR[second], "--benchmark", "train.yaml")["curves"]
        pairs = [pair for pair in document["pairs"] if (pair["first"], pair["second"]) == (first, second)]
        for pair, curve in zip(pairs, alone, strict=True):
            assert (pair["a"], pair["b"]) == (FOUR[first], FOUR[second])
            assert {key: pair[key] for key in curve} == curve


def test_matrices_hold_the_barriers_of_the_pairs(cli, here):
    document = barrier(cli, *FOUR)
    kinds = [(one["metric"], one["definition"]) for one in document["matrices"]]
    assert sorted(kinds) == [(m, d) for m in ("accuracy", "loss") for d in ("linear", "midpoint-mean")]
    for matrix in document["matrices"]:
        values = matrix["values"]
        assert all(values[place][place] == 0 for place in range(4))
        assert values == [list(row) for row in zip(*values, strict=True)]
        for pair in document["pairs"]:
            (row,) = [
                one
                for one in pair["barriers"]
                if (one["metric"], one["definition"]) == (matrix["metric"], matrix["definition"])
            ]
            assert values[pair["first"]][pair["second"]] == row["value"]


def test_every_model_is_evaluated_once_as_an_end(cli, here, monkeypatch):
    from merge.search import members

    made, original = [], members.Members.candidate
    monkeypatch.setattr(members.Members, "candidate", lambda *given: made.append(given[1]) or original(*given))
    barrier(cli, *FOUR, points=5)
    assert len(made) == 4 + 6 * 3
    assert sorted(name for name in made if name in FOUR) == [*FOUR]


def test_aligned_models_give_a_second_matrix(cli, here):
    aligned = [word for model in ("c.st", "d.st") for word in ("--aligned", model)]
    document = barrier(cli, "a.st", "b.st", "c.st", *aligned, "--report", "report")
    jsonschema.validate(document, SCHEMAS["barrier-matrix"]())
    assert document["aligned"] == ["a.st", "c.st", "d.st"]
    other = barrier(cli, "a.st", "c.st", "d.st")
    assert [one["values"] for one in document["matrices"][4:]] == [one["values"] for one in other["matrices"]]
    assert [one["name"] for one in document["matrices"]] == ["naive"] * 4 + ["aligned"] * 4
    page, text = ((here / "report" / name).read_text() for name in ("report.html", "report.md"))
    assert json.loads((here / "report" / "results.json").read_text())["barrier_matrix"] == document
    assert "Barriers of every pair" in page
    assert page.count("<svg") >= 2 * (2 + 3)
    assert "| naive | aligned |" in " ".join(text.split())
    told = re.search(
        r"highest barrier of the accuracy between two of 3 models \(linear\): \+?([\d.]+) points \(naive", text
    )
    assert float(told[1]) == pytest.approx(100 * max(map(max, document["matrices"][0]["values"])), abs=0.006)


def test_the_matrix_in_the_terminal(cli, here):
    printed = cli("barrier", *FOUR, "--benchmark", "test.yaml", *MODEL, "--points", 3, "--barrier", "midpoint-mean").out
    head, accuracy, loss = printed.split("\n\n")
    assert head.startswith("barrier (midpoint-mean)")
    assert loss.startswith("naive, test")
    for table in (accuracy, loss):
        rows = [line.split() for line in table.splitlines()[2:]]
        assert [row[:2] for row in rows] == [[str(number), model] for number, model in enumerate(FOUR, start=1)]
        assert all(row[2:].index("-") == number for number, row in enumerate(rows))


def test_statistics_are_measured_anew_for_pairs_too(cli, tmp_path, monkeypatch):
    import numpy as np

    sys.path.append(str(Path(__file__).parents[1] / "after"))
    from small_networks import MODEL_FILE, Normed, made, pixels, write

    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks.py").write_text(MODEL_FILE)
    for seed in (1, 2, 3):
        write(made(Normed, seed), tmp_path / f"n{seed}.st")
    images = (pixels(60, 0)[:, 0] * 255).byte().numpy()
    np.savez("test.npz", images=images, labels=np.arange(60) % 10)
    (tmp_path / "test.yaml").write_text("name: test\nkind: classification\ndata: {path: test.npz}\n")
    given = ("--benchmark", "test.yaml", "--model", "networks.py:Normed", "--points", 3, "--batch-size", 60, "--json")
    result = cli("barrier", "n1.st", "n2.st", "n3.st", *given, "--reset-data", "test.npz")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["reset"]["data"] == "test"
    pair = next(one for one in document["pairs"] if (one["name"], one["second"]) == ("naive with reset", 2))
    alone = json.loads(cli("barrier", "n1.st", "n3.st", *given, "--reset-data", "test.npz").out)
    assert pair["points"] == alone["curves"][1]["points"]
    assert "averaged on the line" in cli("barrier", "n1.st", "n2.st", "n3.st", *given).err


def test_of_models_in_different_types_the_first_ones_count(cli, here):
    import torch

    save(here / "half.st", {name: tensor.to(torch.bfloat16) for name, tensor in load(here / "b.st").items()})
    document = barrier(cli, "a.st", "half.st", "c.st")
    alone = barrier(cli, "a.st", "half.st")
    assert document["pairs"][0]["points"] == alone["curves"][0]["points"]


def test_the_model_that_is_not_finite_is_named(cli, here):
    broken = load(here / "c.st")
    broken["fc1.bias"][0] = float("nan")
    save(here / "broken.st", broken)
    result = refused(cli, "a.st", "b.st", "broken.st", "--points", 3)
    assert_refused(result, 1, "broken.st: the model gives logits that are not finite")
    assert "lambda" not in result.err


def refused(cli: Any, *arguments: object) -> Any:
    return cli("barrier", *arguments, "--benchmark", "test.yaml", *MODEL)


def test_refusals(cli, here, monkeypatch):
    monkeypatch.setattr("merge.evaluation.run.evaluate", lambda *_: pytest.fail("evaluated"))
    assert_refused(refused(cli, "a.st"), 2, "one model was given")
    assert_refused(refused(cli, "a.st", "b.st", "c.st", "--aligned", "b.st"), 2, "--aligned is given 1 time(s)", "3")
    assert_refused(refused(cli, "a.st", "b.st", "none.st"), 2, "none.st", "no such file")
    aligned = ("--aligned", "b.st", "--aligned", "none.st")
    assert_refused(refused(cli, "a.st", "b.st", "c.st", *aligned), 2, "none.st", "no such file")
    wide = load(here / "c.st")
    save(here / "wide.st", wide | {"fc1.bias": wide["fc1.bias"].repeat(2)})
    assert_refused(refused(cli, "a.st", "b.st", "wide.st"), 1, "fc1.bias", "the same tensors at both ends")
