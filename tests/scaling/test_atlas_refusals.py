"""What ``merge atlas`` refuses: one line that says what is wrong, and nothing left behind."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from merge.cli import main

GIVEN = ("atlas", "base", "--task-vectors", "one,two")
DATA = ("--data", "learn.yaml")


@pytest.fixture
def refused(at, capsys):
    before = sorted(path.name for path in at.iterdir())

    def call(*words, code, says, leaves=()):
        assert main((*words, "-o", "out")) == code, capsys.readouterr().err
        said = capsys.readouterr()
        (line,) = [line for line in said.err.splitlines() if line.startswith("merge: ")]
        assert says in line, line
        assert "Traceback" not in said.err
        assert "unexpected" not in line
        names = sorted(path.name for path in at.iterdir())
        assert [name for name in names if name not in before] == list(leaves)

    return call


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*GIVEN,), "needs learned coefficients of every model, and model 1 has none"),
        (("atlas", "base", *DATA), "there are no task vectors"),
        (("atlas", "base", "--task-vectors", "one,,two", *DATA), "an empty name of a model"),
        ((*GIVEN, "--data", "leern.yaml"), "leern.yaml"),
        ((*GIVEN, "--data", "bare.yaml"), "the data has no labels"),
        ((*GIVEN, *DATA, "--validation", "bare.yaml"), "the data has no labels"),
        ((*GIVEN, *DATA, "--validation", "nowhere.yaml"), "nowhere.yaml"),
        ((*GIVEN, *DATA, "--preset", "adamerging"), "preset must be one of"),
        ((*GIVEN, *DATA, "--objective", "entropie"), "did you mean 'entropy'"),
        ((*GIVEN, *DATA, "--epochs", "2", "--steps", "2"), "epochs and steps both say how long"),
        ((*GIVEN, *DATA, "--threshold", "0.5"), "threshold is for pseudo-labels"),
        ((*GIVEN, *DATA, "--partitions", "0"), "partitions must be >= 1"),
        ((*GIVEN, *DATA, "--memory", "much"), "'much' is no size"),
        ((*GIVEN, *DATA, "--scale", "0.5"), "scale and layer rules change coefficients"),
        (("atlas", "base", "--task-vectors", "base", *DATA), "the base is also model 1"),
        (("atlas", "base", "--task-vectors", "three", *DATA), "three"),
    ],
)
def test_wrong_requests(refused, words, says):
    refused(*words, code=2, says=says)


def test_nothing_better_than_the_base_is_said_and_the_base_written_on_request_only(own_labels, refused):
    at_base = ("--data", "own.yaml", "--validation", "own.yaml", "--epochs", "1")
    refused(*GIVEN, *at_base, code=1, says="no coefficients of the task vectors are better than 0")
    assert main((*GIVEN, *at_base, "--allow-base", "-o", "out")) == 0
    base, out = load_file("base/model.safetensors"), load_file("out/model.safetensors")
    assert all(torch.equal(base[name], out[name]) for name in base)


def test_what_to_do_where_the_entropy_of_the_base_is_lowest(at, capsys):
    tensors = load_file(at / "base" / "model.safetensors")
    (at / "sure").mkdir()
    shutil.copy(at / "base" / "config.json", at / "sure")
    tensors["classifier.bias"][0] += 100
    save_file(tensors, at / "sure" / "model.safetensors", {"format": "pt"})
    unlabeled = ("--data", "bare.yaml", "--objective", "entropy", "--epochs", "1", "-o", "out")
    assert main(("atlas", "sure", "--task-vectors", "base", *unlabeled)) == 1
    said = capsys.readouterr().err
    assert "are better than 0 on bare: the base has entropy" in said
    assert "select by labelled data: --validation" in said


@pytest.fixture
def own_labels(at):
    """Write a benchmark whose labels are the base's own predictions."""
    from transformers import ViTForImageClassification

    images = np.load(at / "learn.npz")["images"]
    model = ViTForImageClassification.from_pretrained(at / "base").eval()
    with torch.no_grad():
        labels = model(torch.from_numpy(images)).logits.argmax(1).numpy()
    np.savez(at / "own.npz", images=images, labels=labels)
    (at / "own.yaml").write_text("name: own\nkind: classification\ndata: {path: own.npz, split: own}\n")


def changed(at, change):
    """Write a copy of the model ``two`` with other tensors."""
    shutil.copytree(at / "two", at / "other")
    tensors = load_file(at / "two" / "model.safetensors")
    change(tensors)
    save_file(tensors, at / "other" / "model.safetensors", {"format": "pt"})


CHANGES = {
    "absent": (lambda tensors: tensors.pop("classifier.bias"), "'classifier.bias' absent from"),
    "of another shape": (lambda tensors: tensors.update({"classifier.bias": torch.zeros(5)}), "of another shape"),
    "not finite": (lambda tensors: tensors["classifier.bias"].fill_(float("nan")), "not finite"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_task_vectors_that_do_not_fit_the_base(at, refused, case):
    change, says = CHANGES[case]
    changed(at, change)
    refused("atlas", "base", "--task-vectors", "one,other", *DATA, code=1, says=says, leaves=["other"])


def test_labels_that_are_no_classes_of_the_model(at, refused):
    images = np.load(at / "learn.npz")["images"]
    np.savez(at / "many.npz", images=images, labels=np.arange(len(images)))
    says = "and the model has 3 classes"
    refused(*GIVEN, "--data", "many.npz", code=1, says=says, leaves=["many.npz"])


def test_data_that_is_too_small_to_be_parted(at, refused):
    known = np.load(at / "learn.npz")
    np.savez(at / "few.npz", images=known["images"][:1], labels=known["labels"][:1])
    refused(*GIVEN, "--data", "few.npz", code=2, says="of 1 items none is left to learn from", leaves=["few.npz"])


def test_an_output_that_is_there(at, capsys):
    (at / "out").mkdir()
    (at / "out" / "mine.txt").write_text("mine")
    assert main((*GIVEN, *DATA, "-o", "out")) != 0
    assert sorted(path.name for path in (at / "out").iterdir()) == ["mine.txt"]
    assert not (at / "out.statistics").exists()


def test_nested_merges_are_learned_by_themselves(at, refused):
    (at / "nested.yaml").write_text(
        "merge: soup\nmodels:\n  - {merge: atlas, base: ./base, models: [./one], data: learn.yaml}\n  - ./two\n"
    )
    refused("run", "nested.yaml", code=2, says="are learned by themselves", leaves=["nested.yaml"])
