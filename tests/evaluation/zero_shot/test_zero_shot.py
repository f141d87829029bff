"""Zero-shot classification against independent computations: open_clip's own, and transformers' pipelines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import OPEN_CLIP_NAME, make_clip, make_open_clip
from tiny_models import example_arrays
from zero_shot_case import BOTH, CLASSES, IMAGES, NAMES, TEMPLATES, logits_of, outcome_of, pixels

from merge.errors import UsageError
from merge.evaluation import evaluate
from merge.evaluation.locate import locate
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings


def transformers_logits(folder, model, names, template):
    """What transformers gives for one template, from its own processor's tensors."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": 24} if "siglip" in model.config.model_type else {"padding": True}
    texts = tokenizer([template.replace("{}", name) for name in names], return_tensors="pt", **padding)
    with torch.no_grad():
        return model(**texts, pixel_values=pixels()).logits_per_image.numpy()


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_one_template_gives_transformers_own_logits(family, write, request):
    folder, model = request.getfixturevalue(family)
    expected = transformers_logits(folder, model, NAMES, "a photo of a {}.")
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(logits_of(folder, write(CLASSES)), expected, rtol=2e-5, atol=1e-5)


def test_pipeline_of_transformers(clip, write):
    from PIL import Image
    from transformers import AutoImageProcessor, AutoTokenizer, pipeline

    folder, model = clip
    parts = {"tokenizer": AutoTokenizer.from_pretrained(folder)}
    parts["image_processor"] = AutoImageProcessor.from_pretrained(folder)
    classify = pipeline("zero-shot-image-classification", model=model, **parts)
    ours = torch.from_numpy(logits_of(folder, write(CLASSES))).softmax(dim=1)
    for image, probabilities in zip(IMAGES, ours, strict=True):
        found = classify(Image.fromarray(image), candidate_labels=NAMES, hypothesis_template="a photo of a {}.")
        theirs = {row["label"]: row["score"] for row in found}
        assert [theirs[name] for name in NAMES] == pytest.approx(probabilities.tolist(), abs=1e-5)


@pytest.mark.parametrize("templates", [TEMPLATES, "simple", "openai"])
def test_open_clips_own_classifier(open_clip_model, write, templates):
    import open_clip

    path, model = open_clip_model
    lists = {"simple": open_clip.SIMPLE_IMAGENET_TEMPLATES, "openai": open_clip.OPENAI_IMAGENET_TEMPLATES}
    functions = lists.get(str(templates)) or [lambda c, t=t: t.replace("{}", c).replace("{c}", c) for t in templates]
    tokenizer = open_clip.get_tokenizer(OPEN_CLIP_NAME)
    head = open_clip.build_zero_shot_classifier(model, tokenizer, NAMES, functions)
    with torch.no_grad():
        features = model.encode_image(pixels(), normalize=True)
        expected = (model.logit_scale.exp() * features @ head).numpy()
    text = f"{CLASSES}templates: {templates}\nmodel: open_clip:{OPEN_CLIP_NAME}\nnormalize: {{mean: 0.5, std: 0.25}}\n"
    np.testing.assert_allclose(logits_of(path, write(text)), expected, rtol=2e-5, atol=1e-5)


def test_bias_of_a_model_trained_with_a_sigmoid(tmp_path, write):
    model = make_open_clip(tmp_path, bias=-3.0)
    text = f"{CLASSES}model: open_clip:{OPEN_CLIP_NAME}-sigmoid\nnormalize: {{mean: 0.5, std: 0.25}}\n"
    import open_clip

    tokens = open_clip.get_tokenizer(OPEN_CLIP_NAME)([f"a photo of a {name}." for name in NAMES])
    with torch.no_grad():
        expected, _ = model.get_logits(pixels(), tokens)
    np.testing.assert_allclose(
        logits_of(tmp_path / "open_clip.safetensors", write(text)), expected.numpy(), rtol=2e-5, atol=1e-5
    )


def test_templates_are_averaged_after_and_before_normalising(clip, write):
    folder, model = clip
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    with torch.no_grad():
        for name in NAMES:
            texts = [template.replace("{}", name).replace("{c}", name) for template in TEMPLATES]
            each = [model.get_text_features(**tokenizer(text, return_tensors="pt")) for text in texts]
            each = [getattr(one, "pooler_output", one) for one in each]
            mean = sum(one / one.norm() for one in each) / len(each)
            rows.append(mean / mean.norm())
        images = model.get_image_features(pixel_values=pixels())
        images = getattr(images, "pooler_output", images)
        expected = model.logit_scale.exp() * (images / images.norm(dim=1, keepdim=True)) @ torch.cat(rows).T
    np.testing.assert_allclose(logits_of(folder, write(CLASSES + BOTH)), expected.numpy(), rtol=2e-5, atol=1e-5)


def test_image_towers_under_the_head_of_a_named_clip(clip, towers, write):
    benchmark = write(f"{CLASSES}model: {clip[0]}\n")
    expected = logits_of(clip[0], benchmark)
    for tower in towers:
        np.testing.assert_array_equal(logits_of(tower, benchmark), expected)


def test_image_towers_of_open_clip(open_clip_model, write, tmp_path):
    path, _ = open_clip_model
    tensors = load_file(path)
    tower = {name: tensor for name, tensor in tensors.items() if name.startswith("visual.")}
    save_file(tower, tmp_path / "tower.st")
    save_file({name.removeprefix("visual."): tensor for name, tensor in tower.items()}, tmp_path / "bare.st")
    benchmark = write(f"{CLASSES}model: open_clip:{OPEN_CLIP_NAME}\ncheckpoint: {path}\n")
    expected = logits_of(path, benchmark)
    for name in ("tower.st", "bare.st"):
        np.testing.assert_array_equal(logits_of(tmp_path / name, benchmark), expected)


def test_the_same_head_in_a_classification_benchmark(clip, towers, write, tmp_path):
    expected = logits_of(clip[0], write(CLASSES + BOTH))
    path = tmp_path / "fixed.yaml"
    head = f"head: {{clip: {clip[0]}, classes: {NAMES}, templates: {TEMPLATES}}}\nmodel: {clip[0]}\n"
    normalize = "normalize: {mean: 0.5, std: 0.25}\n"
    path.write_text(f"kind: classification\ndata: {{path: data.npz}}\n{head}{normalize}")
    for tower in towers:
        np.testing.assert_allclose(logits_of(tower, str(path)), expected, rtol=1e-6)
    path.write_text(f"kind: classification\ndata: {{path: data.npz}}\n{head}{normalize}logit_scale: 1\n")
    scale = clip[1].logit_scale.exp().item()
    np.testing.assert_allclose(logits_of(towers[0], str(path)) * scale, expected, rtol=1e-5)


def test_the_named_head_serves_whole_models_too(clip, write, tmp_path):
    make_clip(tmp_path / "other", seed=1)
    own, named = (logits_of(tmp_path / "other", write(CLASSES + more)) for more in ("", f"model: {clip[0]}\n"))
    assert np.abs(own - named).max() > 1e-3


def test_class_names_of_the_data(clip, write):
    arrays = example_arrays(channels=3)
    from merge.evaluation.zero_shot.prompts import Prompts

    prompts = Prompts({"b_e": "bumble bee"}, ("{}",), "", "here")
    assert prompts.names(("red_fox", "b_e")) == ("red fox", "bumble bee")
    with pytest.raises(UsageError, match=r"the data has no class 'b_e'.*did you mean 'bee'"):
        prompts.names(("red_fox", "bee"))
    with pytest.raises(UsageError, match="the data has no class names"):
        outcome_of(clip[0], write("", arrays))


def test_class_names_with_braces_are_filled_in_once():
    from merge.evaluation.zero_shot.prompts import Prompts

    prompts = Prompts(None, ("a {} or {c}, {d}",), "", "here")
    assert prompts.texts(["set {c}", "\\1{}"]) == ["a set {c} or set {c}, {d}", "a \\1{} or \\1{}, {d}"]


def test_classes_by_number(clip, write):
    by_number = "classes: {1: crane, 0: red fox, 2: bee}\n"
    np.testing.assert_array_equal(logits_of(clip[0], write(by_number)), logits_of(clip[0], write(CLASSES)))


def test_rows_say_which_head_and_which_data(clip, write):
    rows = evaluate([str(clip[0])], [write(CLASSES + BOTH)]).results
    assert {(row["head"], row["data_use"]) for row in rows} == {("own text tower, 2 templates", "none")}
    found = evaluate([str(clip[0])], [write(f"{CLASSES}{BOTH}model: {clip[0]}\nweights: zpe\n")])
    assert {(row["head"], row["data_use"]) for row in found.results} == {(f"{clip[0]}, 2 templates, zpe", "unlabeled")}
    assert any("no pre-training images" in note for note in found.notes)


def test_published_normalisation_is_the_default(clip, write):
    given = logits_of(clip[0], write(f"{CLASSES}normalize: {{mean: 0.5, std: 0.25}}\n"))
    other = logits_of(clip[0], write(f"{CLASSES}normalize: {{mean: 0.1, std: 0.25}}\n"))
    found = logits_of(clip[0], write(CLASSES))
    np.testing.assert_array_equal(found, given)
    assert np.abs(found - other).max() > 1e-3


def test_the_published_mean_of_clip_is_used_where_no_file_says_it(open_clip_model, write):
    import open_clip

    text = f"{CLASSES}model: open_clip:{OPEN_CLIP_NAME}\n"
    mean, std = (list(each) for each in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD))
    given = logits_of(open_clip_model[0], write(f"{text}normalize: {{mean: {mean}, std: {std}}}\n"))
    np.testing.assert_array_equal(logits_of(open_clip_model[0], write(text)), given)


def test_the_model_flag_gives_towers_their_head(clip, towers, write):
    expected = logits_of(clip[0], write(CLASSES))
    task = read_benchmark(write(CLASSES)).prepare(Settings(model=str(clip[0])))
    for model in (*towers, clip[0]):
        outcome = task.evaluate(locate(str(model)).load())
        np.testing.assert_array_equal(outcome.logits, expected)
    assert outcome.details["head"].startswith("own text tower")


def test_gradients_are_those_of_autograd_through_the_head(clip, write):
    benchmark = read_benchmark(write(f"{CLASSES}model: {clip[0]}\n"))
    task = benchmark.prepare(Settings())
    candidate = locate(str(clip[0])).load()
    name = "vision_model.embeddings.patch_embedding.weight"
    before = candidate.tensors[name].clone()
    items = np.arange(6)
    moved = {name: before + 0.01}
    loss, gradient, _ = task.differentiate(candidate).step(moved, items, 1.0)
    model = make_clip_copy(clip[1])
    model.vision_model.embeddings.patch_embedding.weight.data += 0.01
    head = task.head.head("cpu")
    features = model.get_image_features(pixel_values=pixels()[:6])
    features = getattr(features, "pooler_output", features)
    expected = torch.nn.functional.cross_entropy(head(features), torch.from_numpy(task.data.labels[:6]))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    theirs = model.vision_model.embeddings.patch_embedding.weight.grad
    torch.testing.assert_close(gradient[name], theirs, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(candidate.tensors[name], before, rtol=0, atol=0)


def make_clip_copy(model):
    import copy

    return copy.deepcopy(model)


def test_files_for_clip_benchmark_lie_beside_the_report(clip, write, tmp_path):
    import json

    report = tmp_path / "report"
    folder, benchmark = str(clip[0]), write(CLASSES)
    found = evaluate([folder], [benchmark], report=report).results
    (path,) = (report / "clip_benchmark").iterdir()
    document = json.loads(path.read_text())
    values = {row["metric"]: row["value"] for row in found}
    assert document["metrics"]["acc1"] == values["accuracy"]
    assert document["metrics"]["mean_per_class_recall"] == values["per_class_accuracy"]
    assert (document["task"], document["dataset"]) == ("zeroshot_classification", found[0]["benchmark"])
    evaluate([folder], [benchmark], report=report)  # a report may be written again
