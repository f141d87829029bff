"""Zero-shot benchmarks that are wrong, models without a tower, and prompts that are cut."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file, save_file
from tiny_clip import OPEN_CLIP_NAME
from tiny_models import example_arrays
from zero_shot_case import CLASSES, outcome_of

from merge.errors import MergeError, UsageError
from merge.evaluation.locate import locate
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings


@pytest.mark.parametrize("family", ["clip", "siglip", "open_clip_model"])
def test_prompts_that_are_cut_are_counted(family, write, request, tmp_path):
    folder = request.getfixturevalue(family)[0]
    fitting = 'templates: ["{}", "{} x"]\n'
    more = {"model": f"open_clip:{OPEN_CLIP_NAME}"} if family == "open_clip_model" else {}
    assert outcome_of(folder, write(CLASSES + fitting), **more).details["notes"] == []
    names = f"classes: [crane, bee, '{'fox ' * 100}']\n"
    told = ["2 of 6 prompts were cut to the 24 tokens that the text tower takes"]
    assert outcome_of(folder, write(names + fitting), **more).details["notes"] == told
    if family == "clip":
        head = f"head: {{clip: {folder}, {names.strip()}, {fitting.strip()}}}\nmodel: {folder}\n"
        (tmp_path / "fixed.yaml").write_text(f"kind: classification\ndata: {{path: data.npz}}\n{head}")
        assert outcome_of(folder, str(tmp_path / "fixed.yaml")).details["notes"] == told


def test_prompts_that_are_all_the_same_after_the_cut(clip, write):
    with pytest.raises(UsageError, match="all classes have the same prompts after the cut to the 24 tokens"):
        outcome_of(clip[0], write(CLASSES + f'templates: ["{"x " * 100}{{}}"]\n'))


WRONG = {
    "a template without a place": (
        f"{CLASSES}templates: ['a {{}}', 'a dog']\n",
        r"bench.yaml:5:\d+: the template 'a dog'",
    ),
    "a misspelt set": (f"{CLASSES}templates: opnai\n", r"bench.yaml:5:1: .*did you mean 'openai'"),
    "no templates": (f"{CLASSES}templates: []\n", "'templates' is an empty list"),
    "one class": ("classes: [dog]\n", "at least two names"),
    "a gap": ("classes: {0: dog, 2: cat, 3: cow}\n", "from 0 to 2 without a gap"),
    "a class that is no text": ("classes: [dog, [cat]]\n", r"bench.yaml:4:\d+: a class name must be a text"),
    "too few names": ("classes: [dog, cat]\n", r"bench.yaml:4:1: the data has the label 2, the head has 2 class names"),
    "an unknown key": ("clases: [a, b]\n", "did you mean 'classes'"),
    "an unknown ensemble": (f"{CLASSES}ensemble: median\n", "no 'ensemble' called 'median'"),
    "unknown weights": (f"{CLASSES}weights: zpee\n", "did you mean 'zpe'"),
    "needless images": (f"{CLASSES}pretraining: {{path: data.npz}}\n", "serve 'weights: zpe' alone"),
    "a misspelt architecture": (f"{CLASSES}model: open_clip:ViT-B-323\n", "did you mean 'ViT-B-32"),
    "no such folder": (f"{CLASSES}model: ./nowhere\n", r"bench.yaml:5:1: './nowhere' has no config.json"),
    "a checkpoint of nothing": (f"{CLASSES}checkpoint: a.st\n", "'checkpoint' needs a 'model'"),
    "no such checkpoint": (f"{CLASSES}model: open_clip:ViT-B-32\ncheckpoint: a.st\n", "no such checkpoint: a.st"),
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_requests(clip, write, tmp_path, text):
    more, message = WRONG[text]
    save_file(load_file(clip[0] / "model.safetensors"), tmp_path / "bare.st")
    with pytest.raises(UsageError, match=message):
        outcome_of(tmp_path / "bare.st" if "architecture" in text else clip[0], write(more))


def test_a_model_without_a_text_tower(architecture, towers, write):
    message = r"projected.st: the text tower is missing: no tensor is named text_model"
    with pytest.raises(MergeError, match=message):
        outcome_of(towers[0], write(CLASSES), model=architecture)


def test_an_open_clip_model_without_a_text_tower(open_clip_model, write, tmp_path):
    tensors = {name: tensor for name, tensor in load_file(open_clip_model[0]).items() if name.startswith("visual.")}
    save_file(tensors, tmp_path / "tower.st")
    with pytest.raises(MergeError, match="the text tower is missing: no tensor is named token_embedding"):
        outcome_of(tmp_path / "tower.st", write(CLASSES), model=f"open_clip:{OPEN_CLIP_NAME}")


def test_a_model_without_an_image_tower(clip, architecture, write, tmp_path):
    tensors = {name: tensor for name, tensor in load_file(clip[0] / "model.safetensors").items() if "vis" not in name}
    save_file(tensors, tmp_path / "texts.st")
    with pytest.raises(MergeError, match="image tower is missing"):
        outcome_of(tmp_path / "texts.st", write(CLASSES), model=architecture)


def test_a_classifier_needs_no_head(classifiers, clip, write):
    with pytest.raises(UsageError, match="ViTForImageClassification has classes of its own"):
        outcome_of(classifiers[0], write(f"{CLASSES}model: {clip[0]}\n", example_arrays()))


def test_a_head_of_another_width(clip, siglip, write):
    with pytest.raises(MergeError, match="the head takes 8 features, the model gives 6"):
        outcome_of(clip[0], write(f"{CLASSES}model: {siglip[0]}\n"))


def test_no_gradient_where_the_head_would_change(clip, write):
    task = read_benchmark(write(CLASSES)).prepare(Settings())
    with pytest.raises(UsageError, match="the head would change with the weights"):
        task.differentiate(locate(str(clip[0])).load())
