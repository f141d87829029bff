"""Whole evaluations of tiny models, against the same numbers computed without this package."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import CLASSES, example_arrays, make_classifier

from merge.errors import MergeError, UsageError
from merge.evaluation import ComparisonRow, EvaluationDocument, ResultRow, evaluate, render_table


def value(evaluation, model, metric="accuracy"):
    (row,) = [row for row in evaluation.results if (row["model"], row["metric"]) == (str(model), metric)]
    return row["value"]


def logits_by_hand(folder, images):
    from transformers import ViTForImageClassification

    pixels = torch.from_numpy(images).float()[:, None] / 255
    with torch.no_grad():
        return ViTForImageClassification.from_pretrained(folder).eval()(pixel_values=pixels).logits


def test_rows_agree_with_transformers(classifiers, write_benchmark):
    arrays = example_arrays(n=12)
    logits = logits_by_hand(classifiers[0], arrays["images"])
    arrays["labels"] = logits.argmax(1).numpy()
    arrays["labels"][:3] = (arrays["labels"][:3] + 1) % CLASSES  # exactly three are wrong
    evaluation = evaluate([str(classifiers[0])], [write_benchmark(**arrays)], batch_size=5, seed=7)
    assert [row["metric"] for row in evaluation.results] == ["accuracy", "loss", "per_class_accuracy"]
    row = evaluation.results[0]
    assert (row["value"], row["n"], row["seed"], row["data_use"]) == (0.75, 12, 7, "none")
    assert row["interval"][0] < 0.75 < row["interval"][1]
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(arrays["labels"])).item()
    assert value(evaluation, classifiers[0], "loss") == pytest.approx(expected, rel=1e-5)
    assert evaluation.comparisons == []


def test_ensemble_row_and_comparisons(classifiers, write_benchmark):
    arrays = example_arrays()
    one, two = (logits_by_hand(folder, arrays["images"]) for folder in classifiers)
    arrays["labels"] = (one + two).argmax(1).numpy()
    evaluation = evaluate([str(folder) for folder in classifiers], [write_benchmark(**arrays)], ensemble="logits")
    assert value(evaluation, "ensemble(logits)") == 1.0
    names = [(row["model"], row["reference"]) for row in evaluation.comparisons]
    assert names == [(str(classifiers[1]), str(classifiers[0])), ("ensemble(logits)", str(classifiers[0]))]
    assert json.loads(json.dumps(evaluation.as_json(), allow_nan=False)) == evaluation.as_json()


def test_document_is_what_its_published_types_say(classifiers, write_benchmark):
    from pydantic import TypeAdapter

    evaluation = evaluate([str(folder) for folder in classifiers], [write_benchmark()], ensemble="probs")
    TypeAdapter(EvaluationDocument).validate_python(evaluation.as_json(), strict=True)
    for rows, declared in ((evaluation.results, ResultRow), (evaluation.comparisons, ComparisonRow)):
        assert all(list(row) == list(declared.__annotations__) for row in rows)


def test_table_has_a_line_for_every_row(classifiers, write_benchmark):
    evaluation = evaluate([str(folder) for folder in classifiers], [write_benchmark()])
    lines = render_table(evaluation).splitlines()
    assert lines[0].split()[:4] == ["benchmark", "model", "metric", "value"]
    assert len(lines) == 1 + 6 + 1 + 1 + 1


def test_bare_checkpoint_takes_its_architecture_from_the_benchmark(classifiers, write_benchmark, tmp_path):
    tensors = load_file(classifiers[0] / "model.safetensors")
    save_file(tensors, tmp_path / "bare.st")
    benchmark = write_benchmark(f"model: {classifiers[0]}\n")
    evaluation = evaluate([str(tmp_path / "bare.st"), str(classifiers[0])], [benchmark])
    assert value(evaluation, tmp_path / "bare.st", "loss") == value(evaluation, classifiers[0], "loss")
    assert evaluation.results[0]["head"] == "own"


def test_folders_may_have_an_at_sign(write_benchmark, tmp_path):
    make_classifier(0).save_pretrained(tmp_path / "vit@home")
    evaluate([str(tmp_path / "vit@home")], [write_benchmark()], model=str(tmp_path / "vit@home"))


@pytest.mark.parametrize(
    ("model", "asked"), [("hf:org/vit", ("org/vit", "main")), ("hf:org/vit@abc", ("org/vit", "abc"))]
)
def test_architecture_from_the_hub(classifiers, write_benchmark, monkeypatch, model, asked):
    from transformers import AutoConfig

    seen = []

    def from_pretrained(name, *, revision, trust_remote_code):
        seen.append((name, revision))
        assert trust_remote_code is False
        return make_classifier(0).config

    monkeypatch.setattr(AutoConfig, "from_pretrained", from_pretrained)
    evaluate([str(classifiers[0] / "model.safetensors")], [write_benchmark()], model=model)
    assert seen == [asked]


def test_model_option_goes_before_the_benchmark(classifiers, write_benchmark, tmp_path):
    save_file(load_file(classifiers[0] / "model.safetensors"), tmp_path / "bare.st")
    benchmark = write_benchmark("model: ./nowhere\n")
    evaluate([str(tmp_path / "bare.st")], [benchmark], model=str(classifiers[0]))
    with pytest.raises(UsageError, match=r"no config\.json"):
        evaluate([str(tmp_path / "bare.st")], [benchmark])


def test_shards_and_16_bits(write_benchmark, tmp_path):
    model = make_classifier(0)
    model.bfloat16().save_pretrained(tmp_path / "half", max_shard_size="2KB")
    model.float().save_pretrained(tmp_path / "full")
    assert len(list((tmp_path / "half").glob("*.safetensors"))) > 1
    evaluation = evaluate([str(tmp_path / "half"), str(tmp_path / "full")], [write_benchmark()])
    assert value(evaluation, tmp_path / "half", "loss") == value(evaluation, tmp_path / "full", "loss")
    next((tmp_path / "half").glob("*-00001-*")).unlink()
    with pytest.raises(MergeError, match="missing shards"):
        evaluate([str(tmp_path / "half")], [write_benchmark()])


def test_float32_weights_are_not_rounded_to_the_configured_dtype(classifiers, write_benchmark, tmp_path):
    model = make_classifier(0)
    model.config.dtype = torch.bfloat16
    model.config.save_pretrained(tmp_path)
    save_file(load_file(classifiers[0] / "model.safetensors"), tmp_path / "model.safetensors")
    evaluation = evaluate([str(tmp_path), str(classifiers[0])], [write_benchmark()])
    assert value(evaluation, tmp_path, "loss") == value(evaluation, classifiers[0], "loss")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("classifier.weight"), r"1 missing: classifier\.weight"),
        (lambda t: t.update(extra=torch.zeros(1)), "1 left over: extra"),
        (
            lambda t: t.update({"classifier.bias": torch.zeros(5)}),
            r"of another shape: classifier\.bias \[5\] for \[3\]",
        ),
        (lambda t: t.update({"classifier.bias": torch.full((3,), torch.nan)}), "not finite"),
    ],
)
def test_weights_that_do_not_fit(classifiers, write_benchmark, tmp_path, change, message):
    tensors = load_file(classifiers[0] / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "broken.st")
    with pytest.raises(MergeError, match=message) as failure:
        evaluate([str(tmp_path / "broken.st")], [write_benchmark()], model=str(classifiers[0]))
    assert str(failure.value).startswith(str(tmp_path / "broken.st"))
    assert failure.value.exit_code == 1


def test_absent_batch_counters_are_tolerated(write_benchmark, tmp_path):
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(num_channels=1, embedding_size=4, hidden_sizes=[4], depths=[1], layer_type="basic")
    config.num_labels = CLASSES
    ResNetForImageClassification(config).save_pretrained(tmp_path / "net")
    tensors = load_file(tmp_path / "net" / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    assert len(kept) < len(tensors)
    save_file(kept, tmp_path / "kept.st")
    benchmark = write_benchmark("model: net\n")
    evaluation = evaluate([str(tmp_path / "net"), str(tmp_path / "kept.st")], [benchmark])
    assert value(evaluation, tmp_path / "net", "loss") == value(evaluation, tmp_path / "kept.st", "loss")


def test_labels_beyond_the_classes(classifiers, write_benchmark):
    arrays = example_arrays() | {"labels": np.arange(12)}
    with pytest.raises(MergeError, match=r"the label 11, the model has 3 classes"):
        evaluate([str(classifiers[0])], [write_benchmark(**arrays)])


def test_a_configuration_that_names_unknown_code(classifiers, write_benchmark, tmp_path):
    config = json.loads((classifiers[0] / "config.json").read_text()) | {"architectures": ["MyViT"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MergeError, match="no architecture 'MyViT'"):
        evaluate([str(classifiers[0])], [write_benchmark()], model=str(tmp_path))


@pytest.mark.parametrize("text", ["not json", "{}", '{"model_type": "no-such-type"}'])
def test_a_damaged_configuration(classifiers, write_benchmark, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(MergeError, match="cannot read the configuration"):
        evaluate([str(classifiers[0])], [write_benchmark()], model=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_damaged_checkpoint(classifiers, write_benchmark, tmp_path, content):
    (tmp_path / "broken.st").write_bytes(content)
    with pytest.raises(MergeError, match="cannot be read as safetensors"):
        evaluate([str(tmp_path / "broken.st")], [write_benchmark()], model=str(classifiers[0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": []}, "no model"),
        ({"benchmarks": []}, "no benchmark"),
        ({"batch_size": 0}, "batch size"),
        ({"ensemble": "logit"}, "did you mean 'logits'?"),
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"device": "cuda:x"}, "no device 'cuda:x'"),
        ({"device": "cpu:1"}, "no device 'cpu:1'"),
        ({"model": "timm:resnet18"}, "neither a folder with a config.json nor hf:NAME"),
        ({"models": ["same", "same"]}, "the model 'same' is given twice"),
        ({"benchmarks": ["digits", "builtin:digits"]}, "the benchmark 'digits' is given twice"),
    ],
)
def test_wrong_requests(classifiers, changes, message):
    request = {"models": [str(classifiers[0])], "benchmarks": ["digits"]} | changes
    with pytest.raises(UsageError) as refusal:
        evaluate(request.pop("models"), request.pop("benchmarks"), **request)
    assert message in str(refusal.value)


def test_absent_checkpoint():
    with pytest.raises(MergeError, match="absent: no such checkpoint"):
        evaluate(["absent"], ["digits"])


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(MergeError, match=r"neither model\.safetensors nor"):
        evaluate([str(tmp_path)], ["digits"])


def test_identity_is_what_sha256sum_prints(classifiers, write_benchmark):
    import hashlib

    evaluation = evaluate([str(classifiers[0])], [write_benchmark()])
    digest = hashlib.sha256((classifiers[0] / "model.safetensors").read_bytes()).hexdigest()
    assert evaluation.results[0]["identity"] == f"sha256:{digest}"


def test_report_is_written_and_a_foreign_folder_is_refused_before_any_work(classifiers, write_benchmark, tmp_path):
    report = tmp_path / "report"
    evaluation = evaluate([str(classifiers[0])], [write_benchmark()], report=report)
    document = json.loads((report / "results.json").read_text())
    assert document["results"] == evaluation.as_json()["results"]
    with pytest.raises(MergeError, match="holds other files"):
        evaluate([str(classifiers[0])], [write_benchmark()], report=tmp_path)


def test_the_same_run_twice_gives_the_same_bytes(classifiers, write_benchmark, tmp_path):
    benchmark = write_benchmark()
    for name in ("first", "second"):
        evaluate([str(folder) for folder in classifiers], [benchmark], report=tmp_path / name, ensemble="probs")
    for name in ("results.json", "report.md", "report.html"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, merge.evaluation, merge.reports, merge.demo; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"numpy", "torch", "transformers", "sklearn", "scipy", "matplotlib", "jinja2", "ruamel", "safetensors"}
    assert heavy.isdisjoint(loaded)
