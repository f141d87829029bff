"""Barriers by hand, and the line between two models against a computation without this package."""

from __future__ import annotations

import json

import jsonschema
import pytest
import torch

from merge.cli import main
from merge.evaluation.outcome import Measure
from merge.schema import SCHEMAS
from merge.search.barrier import Point, barriers, positions


def points(metric, values):
    places = positions(len(values))
    return [
        Point(place, {metric: Measure(metric, value, value, value, 4)})
        for place, value in zip(places, values, strict=True)
    ]


def heights(metric, values):
    return {one.definition: (one.value, one.at) for one in barriers(points(metric, values), metric)}


def test_both_definitions_of_a_loss():
    found = heights("loss", [1.0, 4.0, 5.0, 4.0, 3.0])  # expected on the line: 1, 1.5, 2, 2.5, 3; mean of the ends: 2
    assert found == {"linear": (3.0, 0.5), "midpoint-mean": (3.0, 0.5)}
    assert heights("loss", [1.0, 1.0, 3.0]) == {"linear": (0.0, 0.0), "midpoint-mean": (1.0, 1.0)}


def test_they_agree_between_equally_good_models():
    found = heights("loss", [2.0, 7.0, 3.0, 2.0])
    assert found["linear"] == found["midpoint-mean"] == (5.0, pytest.approx(1 / 3))


def test_accuracy_falls_where_a_loss_rises():
    assert heights("accuracy", [0.75, 0.25, 0.5])["linear"] == (pytest.approx(0.375), 0.5)


def test_a_linear_barrier_is_never_negative():
    assert heights("loss", [2.0, 1.0, 2.0])["linear"] == (0.0, 0.0)


def loss_on_the_line(models, position, data):
    from transformers import ViTForImageClassification

    first, second = (ViTForImageClassification.from_pretrained(model).double().eval() for model in models)
    with torch.no_grad():
        for one, other in zip(first.parameters(), second.parameters(), strict=True):
            one.mul_(1 - position).add_(other, alpha=position)
        pixels = torch.from_numpy(data["images"]).double()[:, None] / 255
        logits = first(pixel_values=pixels).logits
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(data["labels"])).item()


def test_the_line_between_two_models(models, benchmarks, tmp_path, capsys):
    import numpy as np

    arguments = ["barrier", *models[:2], "--benchmark", benchmarks["select"], "--benchmark", benchmarks["report"]]
    assert main([*arguments, "--points", "5", "--layers", "--json", "--report", str(tmp_path / "report")]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMAS["barrier"]())
    curve, other = document["curves"]
    assert (curve["benchmark"], curve["split"], other["benchmark"]) == ("select", "select", "report")
    data = np.load(benchmarks["select"].replace(".yaml", ".npz"))
    expected = [loss_on_the_line(models[:2], place, data) for place in positions(5)]
    assert [point["metrics"]["loss"]["value"] for point in curve["points"]] == pytest.approx(expected, rel=1e-5)
    (row,) = [row for row in curve["barriers"] if (row["metric"], row["definition"]) == ("loss", "linear")]
    line = [(1 - place) * expected[0] + place * expected[-1] for place in positions(5)]
    assert row["value"] == pytest.approx(max(one - two for one, two in zip(expected, line, strict=True)), abs=1e-5)
    assert json.loads((tmp_path / "report" / "results.json").read_text())["barrier"] == document
    layers = [layer["layer"] for layer in document["layers"] if layer["benchmark"] == "select"]
    assert layers[0] == "vit.embeddings"
    assert "vit.encoder.layer.1" in layers


def test_its_ends_are_the_models_themselves(models, benchmarks, capsys):
    from merge.evaluation import evaluate

    assert main(["barrier", *models[:2], "--benchmark", benchmarks["select"], "--points", "3", "--json"]) == 0
    ends = json.loads(capsys.readouterr().out)["curves"][0]["points"]
    for model, point in zip(models[:2], (ends[0], ends[-1]), strict=True):
        assert evaluate([model], [benchmarks["select"]]).results[1]["value"] == point["metrics"]["loss"]["value"]


def test_an_aligned_model_gives_a_second_curve(models, benchmarks, capsys):
    arguments = ["barrier", *models[:2], "--benchmark", benchmarks["select"], "--points", "3", "--aligned", models[2]]
    assert main([*arguments, "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)["curves"]
    assert [(curve["name"], curve["b"]) for curve in curves] == [("naive", models[1]), ("aligned", models[2])]
    assert curves[0]["points"][0] == curves[1]["points"][0]


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--points", "2"], 2, "greater than or equal to 3"),
        (["--barrier", "middle"], 2, "no definition 'middle'"),
        (["--aligned", "absent"], 2, "absent: no such file or folder"),
    ],
)
def test_refusals(models, benchmarks, capsys, more, code, message):
    assert main(["barrier", *models[:2], "--benchmark", benchmarks["select"], *more]) == code
    assert message in capsys.readouterr().err
