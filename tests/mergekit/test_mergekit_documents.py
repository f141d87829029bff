"""Several documents in one file: merges that name each other, streamed or written in turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused
from layered_models import HEAD, layers_of, make_layered, merged

SUM = """\
name: sum
merge_method: linear
models: [{model: a.st}, {model: b.st}]
parameters: {weight: 1, normalize: false}
"""
HALF = "merge_method: task_arithmetic\nbase_model: c.st\nmodels: [{model: sum}]\nparameters: {weight: 0.5}\n"
NAMED = "name: half\n" + HALF
LAST = "merge_method: linear\nmodels: [{model: half}, {model: sum}]\nparameters: {weight: [0, 3], normalize: false}\n"


@pytest.fixture(autouse=True)
def models(here: Path) -> Path:
    make_layered(here)
    return here


def half_of(layer: int) -> float:
    """Return the document `half` by hand: c + (a + b - c) / 2."""
    return (301 + layer + 101 + layer + 201 + layer) / 2


def last_of(layer: int) -> float:
    """Return the final document by hand: weights 0, 1, 2, 3 over the layers."""
    return layer * (half_of(layer) + 302 + 2 * layer)


@pytest.mark.parametrize("order", [(SUM, NAMED, LAST), (LAST, SUM, NAMED), (NAMED, LAST, SUM)])
def test_documents_are_merged_in_the_order_in_which_they_need_each_other(cli, models, order):
    found = merged(cli, models, "---\n".join(order))
    assert layers_of(found) == [last_of(layer) for layer in range(4)]
    assert not list(models.glob("sum*"))
    told = cli("run", "old.yml", "-o", "new.st", "--dry-run").out
    assert told.count("documents in between are streamed") == 1
    assert "is not merged" not in told


def test_layers_of_a_document(cli, models):
    wide = (
        "name: wide\nmerge_method: passthrough\nslices:\n- sources: [{model: a.st, layer_range: [0, 3]}]\n"
        "- sources: [{model: b.st, layer_range: [1, 4]}]\n---\n"
    )
    text = wide + (
        "merge_method: linear\nparameters: {normalize: false}\nslices:\n- sources:\n"
        "  - {model: wide, layer_range: [2, 5], parameters: {weight: [{filter: layers.3, value: 2}, {value: 1}]}}\n"
        "  - {model: deep.st, layer_range: [0, 3], parameters: {weight: 1}}\n"
    )
    assert layers_of(merged(cli, models, text)) == [103 + 401, 2 * 202 + 402, 203 + 403]
    text = wide + "merge_method: linear\nmodels: [{model: wide}, {model: deep.st}]\nparameters: {weight: [1, 2]}\n"
    assert merged(cli, models, text)[HEAD] == (251 + 451) / 2
    beyond = wide + "merge_method: passthrough\nslices:\n- sources: [{model: wide, layer_range: [4, 7]}]\n"
    (models / "old.yml").write_text(beyond)
    assert_refused(cli("run", "old.yml", "-o", "out.st", "--force"), 2, "old.yml:9:27: ", "'wide' has 6 layers")


def test_a_document_does_not_take_the_base_of_the_one_that_names_it(cli, models):
    inner = "name: arc\nmerge_method: nuslerp\nmodels: [{model: a.st}, {model: b.st}]\nparameters: {weight: 1}\n---\n"
    outer = "merge_method: task_arithmetic\nbase_model: c.st\nmodels: [{model: arc}]\nparameters: {weight: 1}\n"
    found = merged(cli, models, inner + outer)
    (models / "arc.yml").write_text(inner.replace("---\n", ""))
    assert cli("run", "arc.yml", "-o", "arc.st").code == 0
    assert found[HEAD] == pytest.approx(load(models / "arc.st")[HEAD][0].item())


def test_one_document_with_a_name_is_a_recipe(cli, models):
    assert merged(cli, models, SUM)[HEAD] == 151 + 251


def test_overrides_begin_with_the_name(cli, models):
    text = f"{SUM}---\n{HALF}"
    more = ("--set", "sum.parameters.weight=2", "--set", "parameters.weight=1")
    assert merged(cli, models, text, *more)[HEAD] == 2 * (151 + 251)
    named = f"{SUM}---\n{NAMED}"
    (models / "old.yml").write_text(named)
    result = cli("run", "old.yml", "-I", "between", "--set", "parameters.weight=1")
    assert_refused(result, 2, "which document is meant", "sum, half")


def test_a_document_that_none_names_is_said_to_be_left_out(cli, models):
    (models / "old.yml").write_text(f"{SUM}---\n{NAMED}---\nmerge_method: passthrough\nmodels: [{{model: a.st}}]\n")
    told = cli("run", "old.yml", "-o", "out.st").out
    assert "no document names 'half': it is not merged" in told
    assert "no document names 'sum'" not in told


def test_documents_are_written_in_turn_where_asked(cli, models):
    (models / "old.yml").write_text("---\n".join((LAST, NAMED, SUM)))
    result = cli("run", "old.yml", "-o", "out.st", "--intermediate-dir", "between")
    assert result.code == 0, result.err
    assert sorted(path.name for path in (models / "between").iterdir()) == ["half", "sum"]
    assert load(models / "between" / "sum")[HEAD][0].item() == 151 + 251
    assert cli("run", "old.yml", "-o", "streamed.st").code == 0
    streamed = load(models / "streamed.st")
    assert all(torch.equal(streamed[name], tensor) for name, tensor in load(models / "out.st").items())
    assert cli("verify", "between/half").code == 0
    assert_refused(cli("run", "old.yml", "-o", "new.st", "-I", "between"), 2, "sum: the output exists", "--force")
    assert cli("run", "old.yml", "-o", "new.st", "-I", "between", "--force").code == 0


def test_every_output_is_checked_before_the_first_document_is_written(cli, models):
    (models / "old.yml").write_text("---\n".join((LAST, NAMED, SUM)))
    (models / "out.st").write_text("mine")
    assert_refused(cli("run", "old.yml", "-o", "out.st", "-I", "between"), 2, "out.st: the output exists", "--force")
    (models / "between" / "half").mkdir(parents=True)
    assert_refused(cli("run", "old.yml", "-o", "new.st", "-I", "between"), 2, "half: the output exists")
    (models / "between" / "half" / "notes.txt").write_text("mine")
    more = ("-I", "between", "--force")
    assert_refused(cli("run", "old.yml", "-o", "new.st", *more), 2, "holds 'notes.txt', which no merge wrote")
    assert_refused(cli("run", "old.yml", "-o", "between", *more), 2, "between: the documents in between would lie in")
    assert_refused(cli("run", "old.yml", "-o", "between/sum", *more), 2, "sum: is the place of two documents")
    assert [path.name for path in (models / "between").iterdir()] == ["half"]


def test_ranges_may_be_those_of_a_named_document(cli, models):
    (models / "old.yml").write_text(f"{SUM}---\n{HALF}")
    assert cli("run", "old.yml", "--set", "sum.parameters.weight=1:2:1", "-o", "o").code == 0
    one, two = (load(path)[HEAD][0].item() for path in sorted(models.glob("o-*")))
    assert two - one == pytest.approx((151 + 251) / 2)


def test_types_in_between_count_where_documents_are_written(cli, models):
    rounded = SUM.replace("weight: 1", "weight: 0.1") + "dtype: bfloat16\n"
    (models / "old.yml").write_text(f"{rounded}---\nmerge_method: passthrough\nmodels: [{{model: sum}}]\n")
    assert cli("run", "old.yml", "-o", "written.st", "-I", "between").code == 0
    assert cli("run", "old.yml", "-o", "streamed.st").code == 0
    assert load(models / "written.st")[HEAD].dtype == torch.bfloat16
    assert load(models / "streamed.st")[HEAD].dtype == torch.float64


def test_documents_that_all_have_names(cli, models):
    (models / "old.yml").write_text(f"{SUM}---\n{NAMED}")
    assert_refused(cli("run", "old.yml", "-o", "out.st"), 2, "old.yml:1:1: ", "has a name", "--intermediate-dir")
    assert_refused(cli("run", "old.yml", "-I", "between", "-o", "out.st"), 2, "old.yml:1:1: ", "leave --out out")
    assert not (models / "between").exists()
    assert cli("run", "old.yml", "-I", "between").code == 0
    assert load(models / "between" / "half")[HEAD][0].item() == (351 + 151 + 251) / 2


@pytest.mark.parametrize(
    "more", [["--json"], ["--dry-run"], ["--print-recipe"], ["old.yml"], ["--set", "parameters.weight=0:1:0.5"]]
)
def test_what_is_for_one_merge_is_refused(cli, models, more):
    (models / "old.yml").write_text(f"{SUM}---\n{NAMED}")
    assert_refused(cli("run", "old.yml", "-I", "between", *more), 2, "--intermediate-dir")
    assert not (models / "between").exists()


TOKENIZED = SUM + "tokenizer_source: union\n"
# Text, the place of the complaint, and words of it.
CASES = {
    "a circle": (SUM.replace("a.st", "half") + "---\n" + NAMED + "---\n" + LAST, "9:11", "circle: sum ▸ half ▸ sum"),
    "itself": (SUM.replace("a.st", "sum") + "---\n" + HALF, "3:11", "in a circle: sum ▸ sum"),
    "two of one name": (f"{SUM}---\n{SUM}---\n{HALF}", "6:1", "two documents are named 'sum'"),
    "two without a name": (f"{SUM}---\n{HALF}---\n{LAST}", "11:1", "two documents have no name"),
    "a misspelt name": (f"{SUM}---\n{HALF.replace('sum', 'sun')}", "8:11", "did you mean 'sum'?"),
    "a name that is a path": (f"{SUM.replace('name: sum', 'name: ../sum')}---\n{HALF}", "1:1", "cannot be the name"),
    "a name that is none": (f"{SUM.replace('name: sum', 'name: 3')}---\n{HALF}", "1:1", "'name' must be a text"),
    "a tokenizer in between": (
        f"{TOKENIZED}---\n{HALF}",
        "9:11",
        "'sum' is needed with its files",
        "--intermediate-dir",
    ),
    "an adapter on a document": (f"{SUM}---\n{HALF.replace('sum', 'sum+lora')}", "8:11", "--intermediate-dir"),
    "a tokenizer of a document": (f"{SUM}---\n{HALF}tokenizer_source: sum\n", "10:1", "--intermediate-dir"),
    "what is wrong in one of them": (f"{SUM}dtyp: x\n---\n{HALF}", "5:1", "did you mean 'dtype'?"),
    "two grammars": (f"{SUM}---\nmerge: soup\nmodels: [a.st]\n", "6:1", "one document is read"),
    "no mapping": (f"{SUM}---\n- a.st\n", "1:1", "a mapping of keys"),
}


@pytest.mark.parametrize("case", CASES)
def test_message_and_place(cli, models, case):
    text, place, *words = CASES[case]
    (models / "old.yml").write_text(text)
    before = sorted(path.name for path in models.iterdir())
    assert_refused(cli("run", "old.yml", "-o", "out.st"), 2, f"merge: old.yml:{place}: ", *words)
    assert sorted(path.name for path in models.iterdir()) == before


def test_what_is_wrong_in_the_last_is_found_before_the_first_is_written(cli, models):
    (models / "old.yml").write_text(f"{SUM}---\n{HALF}dtyp: x\n")
    assert_refused(cli("run", "old.yml", "-o", "out.st", "-I", "between"), 2, "old.yml:10:1: ", "'dtype'")
    assert not (models / "between").exists()


def test_a_model_in_a_folder_has_the_notes_of_all(cli, models):
    (models / "old.yml").write_text(f"{SUM}---\n{HALF}")
    notes = json.loads(cli("run", "old.yml", "-o", "out.st", "--json").out)["notes"]
    assert len(notes) == len(set(notes))
    assert any("mergekit: float32" in note for note in notes)
    assert any("mergekit: the type of the inputs" in note for note in notes)


def test_an_output_behind_the_recipe_is_named(cli, models):
    (models / "old.yml").write_text(HALF.replace("sum", "a.st"))
    assert_refused(cli("run", "old.yml", "out"), 2, "out: no such recipe", "-o out")


def test_unlike_files_are_no_recipes(cli, models):
    save(models / "m.st", {"w": torch.zeros(1)})
    (models / "old.yml").write_text("merge: soup\nmodels: [m.st]\n")
    assert_refused(cli("run", "old.yml", "-I", "between"), 2, "not one of mergekit's", "--intermediate-dir")
