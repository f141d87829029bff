"""What a merge of aligned models says in its JSON and its report about how they were matched."""

from __future__ import annotations

import json

import jsonschema
import pytest
import torch
from checkpoint_files import save

from merge.schema import SCHEMAS

SHAPES = {"fc1.weight": (16, 64), "fc1.bias": (16,), "fc2.weight": (12, 16), "fc2.bias": (12,)}
SHAPES |= {"head.weight": (10, 12), "head.bias": (10,)}


@pytest.fixture
def models(here):
    """Two models of random weights."""
    for seed, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(seed)
        save(here / f"{name}.st", {key: torch.randn(shape, generator=generator) for key, shape in SHAPES.items()})
    return here


def text_of(folder) -> str:
    return (folder / "report.md").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")


def test_the_groups_and_how_they_were_matched(models, cli):
    result = cli("rebasin", "a.st", "b.st", "-o", "out.st", "--seed", 3, "--report", "report", "--json")
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["merge"]())
    (row,) = document["alignments"]
    assert (row["model"], row["file"]) == ("model 2", "out.st.statistics/permutations-2.safetensors")
    assert sorted(group["size"] for group in row["about"]["groups"].values()) == [12, 16]
    report = json.loads((models / "report" / "results.json").read_text())
    jsonschema.validate(report, SCHEMAS["report"]())
    assert report["alignments"] == document["alignments"]
    text = text_of(models / "report")
    about = row["about"]
    before, after = (f"{about[f'distance_{when}']:.4g}" for when in ("before", "after"))
    assert f"{about['sweeps']} sweeps, distance of the weights {before} before and {after} after, seed 3" in text
    for name, group in about["groups"].items():
        cells = ["model 2", name, str(group["size"]), f"{100 * group['fixed']:.2f} %", f"{group['cosine']:.4g}"]
        assert f"| {' | '.join(cells)} |" in text
    assert "2 models, their units brought into one order, merged by soup" in text


def test_a_recipe_that_aligns_says_the_same(models, cli):
    (models / "r.yaml").write_text("merge: slerp\nmodels: [a.st, {model: {align: b.st, to: a.st}}]\noutput: out.st\n")
    result = cli("run", "r.yaml", "--report", "report", "--json")
    assert result.code == 0, result.err
    assert [row["model"] for row in json.loads(result.out)["alignments"]] == ["model 2"]
    assert "## Alignment" in text_of(models / "report")


def test_a_merge_without_alignment_says_nothing_of_it(models, cli):
    result = cli("soup", "a.st", "b.st", "-o", "out.st", "--report", "report", "--json")
    assert "alignments" not in json.loads(result.out)
    text = text_of(models / "report")
    assert "## Alignment" not in text
    assert "2 models merged by soup" in text
