"""What is wrong with slices and modules: one message, with the place, before any weight is read."""

from __future__ import annotations

import pytest
from command_line import assert_refused
from layered_models import make_layered

STACK = "merge_method: passthrough\nslices:\n"
LINEAR = "merge_method: linear\nparameters: {weight: 1}\n"
A = "- sources: [{model: a.st, layer_range: [0, 2]}]\n"


def _range(value: str) -> str:
    return STACK + A + f"- sources:\n  - model: b.st\n    layer_range: {value}\n"


# Text, the place of the complaint, and words of it.
CASES = {
    "layers that are not there": (_range("[2, 5]"), "6:5", "'b.st' has 4 layers", "ends at 5", "4 at most"),
    "layers far away": (_range("[40, 48]"), "6:5", "'b.st' has 4 layers"),
    "an end before the start": (_range("[3, 1]"), "6:5", "holds no layer"),
    "an end at the start": (_range("[3, 3]"), "6:5", "holds no layer"),
    "a negative start": (_range("[-2, 1]"), "6:5", "below 0"),
    "three numbers": (_range("[0, 1, 2]"), "6:5", "two whole numbers", "[0, 1, 2]"),
    "one number": (_range("3"), "6:5", "two whole numbers"),
    "parts of layers": (_range("[0.5, 2]"), "6:5", "two whole numbers"),
    "switches": (_range("[false, true]"), "6:5", "two whole numbers"),
    "unequal lengths": (
        LINEAR
        + "slices:\n- sources:\n  - {model: a.st, layer_range: [0, 2]}\n  - {model: b.st, layer_range: [0, 3]}\n",
        "6:19",
        "equally many layers",
        "'b.st' has 3",
        "the first one 2",
    ),
    "the same layers twice": (
        LINEAR + "slices:\n- sources: [{model: a.st, layer_range: [0, 2]}, {model: a.st, layer_range: [0, 2]}]\n",
        "4:50",
        "'a.st' are listed twice",
    ),
    "no slices": (STACK.replace("slices:", "slices: []"), "2:1", "'slices' is empty"),
    "slices that are no list": (STACK.replace("slices:", "slices: {a: 1}"), "2:1", "must be a list"),
    "no sources": (STACK + "- sources: []\n", "3:3", "'sources' is empty"),
    "a slice that is no mapping": (STACK + "- a.st\n", "3:3", "a slice is a mapping"),
    "a source that is no mapping": (STACK + "- sources: [a.st]\n", "3:13", "a source of a slice is a mapping"),
    "a source without layers": (STACK + "- sources: [{model: a.st}]\n", "3:13", "'layer_range' is missing"),
    "a key of a slice": (STACK + A.replace("sources", "source"), "3:3", "did you mean 'sources'?"),
    "a key of a source": (STACK + A.replace("layer_range", "layers_range"), "3:27", "did you mean 'layer_range'?"),
    "a parameter of a slice": (STACK + A + "  parameters: {skale: 1}\n", "4:16", "did you mean 'scale'?"),
    "a residual weight of words": (STACK + A + "  residual_weight: heavy\n", "4:3", "must be a finite number"),
    "a shared parameter beside a source": (
        LINEAR + "slices:\n- sources: [{model: a.st, layer_range: [0, 2], parameters: {normalize: true}}]\n",
        "4:61",
        "one value for all models",
    ),
    "two models that pass through": (
        STACK + "- sources: [{model: a.st, layer_range: [0, 2]}, {model: b.st, layer_range: [0, 2]}]\n",
        "3:3",
        "exactly one model, and here are 2",
    ),
    "a base that is no source": (
        "merge_method: task_arithmetic\nbase_model: c.st\nparameters: {weight: 1}\nslices:\n" + A,
        "5:3",
        "the base 'c.st' is none of the slice's sources",
    ),
    "no base": ("merge_method: ties\nparameters: {weight: 1}\nslices:\n" + A, "1:1", "ties needs a base"),
    "no weight": ("merge_method: linear\nslices:\n" + A, "3:14", "linear needs 'weight' of a.st"),
    "an empty gradient": (
        "merge_method: slerp\nbase_model: a.st\nparameters:\n  t: []\nslices:\n"
        "- sources: [{model: a.st, layer_range: [0, 2]}, {model: b.st, layer_range: [0, 2]}]\n",
        "4:3",
        "'t' is an empty list",
    ),
    "a gradient within a gradient": (
        "merge_method: slerp\nbase_model: a.st\nparameters:\n  t: [0, [1, 2]]\nslices:\n"
        "- sources: [{model: a.st, layer_range: [0, 2]}, {model: b.st, layer_range: [0, 2]}]\n",
        "4:3",
        "must be a number",
    ),
    "a whole number between two": (
        "merge_method: karcher\nmodels: [{model: a.st}, {model: b.st}]\nparameters: {max_iter: [1, 2]}\n",
        "3:14",
        "'max_iter' would be 1.33333",
        "no whole number",
    ),
    "different depths": (
        LINEAR + "models:\n- model: a.st\n- model: deep.st\n",
        "5:3",
        "'deep.st' has 6 layers, 'a.st' 4",
        "slices",
    ),
    "different depths of the base": (
        "merge_method: ties\nbase_model: deep.st\nparameters: {weight: 1}\nmodels:\n- model: a.st\n- model: b.st\n",
        "5:3",
        "'a.st' has 4 layers, 'deep.st' 6",
    ),
    "no layers": (STACK + A.replace("a.st", "plain.st"), "3:3", "'plain.st' show no layers"),
    "a folder that is not there": (STACK + A.replace("a.st", "./gone"), "3:14", "no such file or folder"),
    "slices and modules": (STACK + A + "modules: {}\nmodules: {}\n", "5:1", "not valid YAML"),
    "modules beside slices": (STACK + A + "modules: {default: {}}\n", "4:1", "'slices' and 'modules' exclude"),
    "no modules": (LINEAR + "modules: {}\n", "3:1", "'modules' is empty"),
    "a module without content": (
        LINEAR + "modules: {default: {parameters: {weight: 1}}}\n",
        "3:20",
        "'models' is missing",
    ),
    "a module of both": (
        LINEAR + "modules:\n  default:\n    models: [{model: a.st}]\n    slices: []\n",
        "6:5",
        "'models' and 'slices' exclude each other",
    ),
    "a key of a module": (LINEAR + "modules: {default: {model: a.st}}\n", "3:21", "did you mean 'models'?"),
    "a module that is not there": (
        LINEAR + "modules: {vision_tower: {models: [{model: a.st}]}}\n",
        "3:11",
        "'a.st' has no module 'vision_tower'",
        "it has default",
    ),
    "a misspelt module": (
        LINEAR + "modules: {defualt: {models: [{model: a.st}]}}\n",
        "3:11",
        "did you mean 'default'?",
    ),
    "a module that is left out": (
        LINEAR + "modules: {encoder: {models: [{model: halves.st}]}}\n",
        "3:1",
        "tensor 'decoder.block.0.w' is in no module",
        "list 'decoder' too",
    ),
    "slices of several stacks": (
        STACK + A.replace("a.st", "halves.st"),
        "3:3",
        "several stacks of layers: 'decoder.block', 'encoder.block'",
        "modules:",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message_and_place(cli, here, case):
    make_layered(here)
    text, place, *words = CASES[case]
    (here / "old.yml").write_text(text)
    before = sorted(path.name for path in here.iterdir())
    assert_refused(cli("run", "old.yml", "-o", "out.st"), 2, f"merge: old.yml:{place}: ", *words)
    assert sorted(path.name for path in here.iterdir()) == before
    assert_refused(cli("run", "old.yml", "--print-recipe"), 2, f"merge: old.yml:{place}: ", *words)
