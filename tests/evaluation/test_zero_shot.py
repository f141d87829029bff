"""Zero-shot classification against independent computations: open_clip's own, and transformers' pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import OPEN_CLIP_NAME, make_clip, make_open_clip
from tiny_models import example_arrays

from merge.errors import MergeError, UsageError
from merge.evaluation import evaluate
from merge.evaluation.locate import locate
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings

NAMES = ["red fox", "crane", "bee"]
TEMPLATES = ["a photo of a {}.", "art of the {c}!"]
CLASSES = f"classes: {NAMES}\n"
BOTH = f"templates: {TEMPLATES}\n"
IMAGES = example_arrays(channels=3)["images"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MERGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "heads"


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "clip"
    return folder, make_clip(folder)


@pytest.fixture(scope="session")
def siglip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "siglip"
    return folder, make_clip(folder, sigmoid=True)


@pytest.fixture(scope="session")
def open_clip_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open_clip")
    return folder / "open_clip.safetensors", make_open_clip(folder)


@pytest.fixture
def write(tmp_path):
    def write(more: str, arrays: dict | None = None) -> str:
        np.savez(tmp_path / "data.npz", **(arrays or example_arrays(channels=3)))
        path = tmp_path / "bench.yaml"
        path.write_text(f"name: tiny\nkind: zero-shot\ndata: {{path: data.npz}}\n{more}")
        return str(path)

    return write


def outcome_of(checkpoint, benchmark, **settings):
    return read_benchmark(benchmark).prepare(Settings(**settings)).evaluate(locate(str(checkpoint)).load())


def logits_of(checkpoint, benchmark, **settings):
    return outcome_of(checkpoint, benchmark, **settings).logits


def pixels(mean=0.5, std=0.25):
    return (torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 255 - mean) / std


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


@pytest.fixture
def towers(clip, tmp_path):
    """Image towers of the CLIP: with and without their projection, with their prefix and bare."""
    tensors = load_file(clip[0] / "model.safetensors")
    vision = {name: tensor for name, tensor in tensors.items() if name.startswith("vision_model.")}
    contents = {
        "projected": {**vision, "visual_projection.weight": tensors["visual_projection.weight"]},
        "pooled": vision,
        "bare": {name.removeprefix("vision_model."): tensor for name, tensor in vision.items()},
    }
    for name, content in contents.items():
        save_file(content, tmp_path / f"{name}.st")
    return [tmp_path / f"{name}.st" for name in contents]


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


class TestCache:
    def test_same_numbers_with_and_without(self, clip, write, cache):
        benchmark = write(CLASSES + BOTH)
        first = logits_of(clip[0], benchmark)
        (file,) = cache.iterdir()
        before = file.stat().st_mtime_ns
        np.testing.assert_array_equal(logits_of(clip[0], benchmark), first)
        assert [(path, path.stat().st_mtime_ns) for path in cache.iterdir()] == [(file, before)]

    def test_what_is_kept_is_used(self, clip, write, cache):
        from merge.evaluation.zero_shot.cache import read_cached, write_cached

        first = logits_of(clip[0], write(CLASSES))
        (file,) = cache.iterdir()
        write_cached(file.stem, read_cached(file.stem).flip(0))
        np.testing.assert_allclose(logits_of(clip[0], write(CLASSES)), first[:, ::-1], rtol=1e-6)

    @pytest.mark.parametrize("change", ["cut", "flip a bit", "other content"])
    def test_a_damaged_file_is_made_anew(self, clip, write, cache, change):
        first = logits_of(clip[0], write(CLASSES))
        (file,) = cache.iterdir()
        sound = file.read_bytes()
        flipped = sound[:-1] + bytes([sound[-1] ^ 64])
        file.write_bytes({"cut": sound[:40], "flip a bit": flipped, "other content": b"no tensors"}[change])
        np.testing.assert_array_equal(logits_of(clip[0], write(CLASSES)), first)
        assert file.read_bytes() == sound

    @pytest.mark.parametrize("change", ["classes", "templates", "weights"])
    def test_everything_that_matters_is_in_the_key(self, clip, write, cache, tmp_path, change):
        folder = clip[0]
        logits_of(folder, write(CLASSES))
        if change == "weights":
            folder = tmp_path / "other"
            make_clip(folder, seed=3)
        text = {"classes": "classes: [a, b, c]\n", "templates": CLASSES + BOTH}.get(change, CLASSES)
        logits_of(folder, write(text))
        assert len(list(cache.iterdir())) == 2

    def test_no_place_to_write_is_no_failure(self, clip, write, tmp_path, monkeypatch):
        first = logits_of(clip[0], write(CLASSES))
        (tmp_path / "file").touch()
        monkeypatch.setenv("MERGE_CACHE", str(tmp_path / "file"))
        np.testing.assert_array_equal(logits_of(clip[0], write(CLASSES)), first)

    def test_it_lies_where_the_system_keeps_caches(self, monkeypatch):
        from merge.evaluation.zero_shot.cache import cache_folder

        monkeypatch.delenv("MERGE_CACHE")
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
        assert cache_folder() == Path("/caches/merge/heads")


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


@pytest.fixture
def architecture(clip, tmp_path):
    """A folder that says what the CLIP is, without weights."""
    folder = tmp_path / "architecture"
    folder.mkdir()
    for file in clip[0].glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    return str(folder)


def test_a_model_without_a_text_tower(architecture, towers, write):
    message = r"projected.st: the text tower is missing: no tensor is named text_model"
    with pytest.raises(MergeError, match=message):
        outcome_of(towers[0], write(CLASSES), model=architecture)


def test_the_model_flag_gives_towers_their_head(clip, towers, write):
    expected = logits_of(clip[0], write(CLASSES))
    task = read_benchmark(write(CLASSES)).prepare(Settings(model=str(clip[0])))
    for model in (*towers, clip[0]):
        outcome = task.evaluate(locate(str(model)).load())
        np.testing.assert_array_equal(outcome.logits, expected)
    assert outcome.details["head"].startswith("own text tower")


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


def test_no_gradient_where_the_head_would_change(clip, write):
    task = read_benchmark(write(CLASSES)).prepare(Settings())
    with pytest.raises(UsageError, match="the head would change with the weights"):
        task.differentiate(locate(str(clip[0])).load())


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
