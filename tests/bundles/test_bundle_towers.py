"""T3 over CLIP-like models, texts and networks of the libraries: beside soups, and per sample beside single merges."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused
from tiny_clip import make_clip
from tiny_models import make_classifier

CLASSES = ["cat", "dog", "owl"]
ZERO_SHOT = "name: z\nkind: zero-shot\ndata: {path: x.npz}\nclasses: [cat, dog, owl]\ntemplates: ['a {}', 'the {}']\n"


@pytest.fixture
def images(here):
    drawn = np.random.default_rng(5).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    np.savez(here / "x.npz", images=drawn, labels=np.arange(30) % 3)
    (here / "z.yaml").write_text(ZERO_SHOT)
    return here


@pytest.fixture
def clips(images):
    for seed, name in enumerate("ab"):
        make_clip(images / name, seed)
    return images


def rows(cli, *arguments):
    result = cli("eval", *arguments, "--json")
    assert result.code == 0, result.err
    return {(row["model"], row["metric"]): row["value"] for row in json.loads(result.out)["results"]}


def near(value):
    return pytest.approx(value, abs=3e-6)


def test_both_towers_in_the_middle_are_the_soup(clips, cli):
    flags = ("--mode", "batch", "--batch", "8", "--towers", "both", "--bounds", ".5,.5")
    assert cli("t3", "a", "b", *flags, "-o", "t3").code == 0
    assert cli("soup", "a", "b", "-o", "soup").code == 0
    found = rows(cli, "t3", "soup", "--benchmark", "z.yaml")
    assert found["t3", "loss"] == near(found["soup", "loss"])
    assert found["t3 (constant 0.5)", "loss"] == near(found["soup", "loss"])
    assert abs(found["soup", "loss"] - found["t3 (pretrained)", "loss"]) > 1e-3


def test_both_towers_of_small_batches_do_not_depend_on_the_batches_of_running(clips, cli):
    flags = ("--mode", "batch", "--batch", "2", "--towers", "both", "--map", "linear")
    assert cli("t3", "a", "b", *flags, "-o", "t3").code == 0
    single = rows(cli, "t3", "--benchmark", "z.yaml", "--batch-size", "2")
    together = rows(cli, "t3", "--benchmark", "z.yaml")  # more than a few merges in one batch
    for key, value in single.items():
        assert together[key] == near(value), key
    assert abs(single["t3", "loss"] - single["t3 (constant at the mean)", "loss"]) > 1e-3
    assert ("t3 (T3)", "loss") not in single
    assert "no T3" in cli("eval", "t3", "--benchmark", "z.yaml").out


def test_the_image_tower_alone_leaves_the_texts_to_the_pretrained_model(clips, cli):
    assert cli("t3", "a", "b", "-o", "t3").code == 0
    merged, first = load(clips / "a" / "model.safetensors"), load(clips / "a" / "model.safetensors")
    second = load(clips / "b" / "model.safetensors")
    for name in merged:
        if name.startswith(("vision", "visual")) or "vision_model" in name:
            merged[name] = 0.5 * first[name] + 0.5 * second[name]
    make_clip(clips / "half", 0)
    save(clips / "half" / "model.safetensors", merged)
    found = rows(cli, "t3", "half", "--benchmark", "z.yaml")
    assert found["t3 (constant 0.5)", "loss"] == near(found["half", "loss"])


@pytest.mark.parametrize("head", ["own", "model"])
def test_per_sample_equals_a_merge_for_each(clips, cli, head):
    if head == "model":
        (clips / "z.yaml").write_text(ZERO_SHOT + "model: ./a\n")
    assert cli("t3", "a", "b", "--map", "linear", "-o", "t3").code == 0
    together = rows(cli, "t3", "--benchmark", "z.yaml")
    single = rows(cli, "t3", "--benchmark", "z.yaml", "--batch-size", "1")
    for key, value in single.items():
        assert together[key] == near(value), key


def test_both_towers_need_heads_that_follow(clips, cli):
    (clips / "z.yaml").write_text(ZERO_SHOT + "model: ./a\n")
    assert cli("t3", "a", "b", "--mode", "batch", "--towers", "both", "-o", "t3").code == 0
    assert_refused(cli("eval", "t3", "--benchmark", "z.yaml"), 2, "towers", "same for all")
    (clips / "z.yaml").write_text(ZERO_SHOT + "weights: zpe\n")
    assert_refused(cli("eval", "t3", "--benchmark", "z.yaml"), 2, "zpe")


def test_image_classifiers_of_transformers_and_timm(images, cli):
    import timm

    (images / "c.yaml").write_text("name: c\nkind: classification\ndata: {path: x.npz}\n")
    for seed, name in enumerate("ab"):
        make_classifier(seed, num_channels=3).save_pretrained(images / name)
        torch.manual_seed(seed)
        resnet = timm.create_model("resnet18", num_classes=3).state_dict()
        save(images / f"{name}.st", {key: tensor.clone() for key, tensor in resnet.items()})
    (images / "net.py").write_text(
        "import timm\n\n\nclass Net(timm.models.resnet.ResNet):\n    def __init__(self):\n"
        "        block = timm.models.resnet.BasicBlock\n"
        "        super().__init__(block, (2, 2, 2, 2), num_classes=3)\n"
    )
    for members, flags in ((("a", "b"), ()), (("a.st", "b.st"), ("--model", "net.py:Net"))):
        assert cli("t3", *members, *flags, "--map", "linear", "--force", "-o", "t3").code == 0
        together = rows(cli, "t3", *flags, "--benchmark", "c.yaml")
        single = rows(cli, "t3", *flags, "--benchmark", "c.yaml", "--batch-size", "1")
        for key, value in single.items():
            assert together[key] == near(value), key


def test_texts_that_are_cut_are_said(here, cli):
    from tiny_language_models import bert_tokenizer, make_bert
    from tiny_language_models import save as save_model

    for seed, name in enumerate("ab"):
        save_model(make_bert("BertForSequenceClassification", seed, num_labels=3), here / name, bert_tokenizer())
    lines = [json.dumps({"text": "cat " * length, "label": length % 3}) for length in (1, 2, 900, 3)]
    (here / "x.jsonl").write_text("\n".join(lines) + "\n")
    (here / "t.yaml").write_text("name: t\nkind: classification\ndata: {path: x.jsonl, text: text, labels: label}\n")
    assert cli("t3", "a", "b", "-o", "t3").code == 0
    result = cli("eval", "t3", "--benchmark", "t.yaml")
    assert "t3: 1 texts were cut" in result.out + result.err


def test_classifiers_of_texts(here, cli):
    from tiny_language_models import bert_tokenizer, make_bert
    from tiny_language_models import save as save_model

    for seed, name in enumerate("ab"):
        save_model(make_bert("BertForSequenceClassification", seed, num_labels=3), here / name, bert_tokenizer())
    texts = [word * length for word in ("cat ", "dog ", "yes ") for length in (1, 3, 7, 2)]
    lines = [json.dumps({"text": text, "label": number % 3}) for number, text in enumerate(texts)]
    (here / "x.jsonl").write_text("\n".join(lines) + "\n")
    (here / "t.yaml").write_text("name: t\nkind: classification\ndata: {path: x.jsonl, text: text, labels: label}\n")
    assert cli("t3", "a", "b", "--map", "linear", "-o", "t3").code == 0
    assert cli("moe", "a", "b", "-o", "mix").code == 0
    together = rows(cli, "t3", "mix", "b", "--benchmark", "t.yaml")
    single = rows(cli, "t3", "--benchmark", "t.yaml", "--batch-size", "1")
    for key, value in single.items():
        assert together[key] == near(value), key
    assert together["t3 (expert)", "loss"] == near(together["b", "loss"])
    assert together["mix", "loss"] == near(
        rows(cli, "a", "b", "--ensemble", "logits", "--benchmark", "t.yaml")["ensemble(logits)", "loss"]
    )
