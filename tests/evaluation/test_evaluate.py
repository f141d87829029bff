"""Whole evaluations of tiny models, against the same numbers computed without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    metrics = [row["metric"] for row in evaluation.results]
    assert metrics == ["accuracy", "loss", "per_class_accuracy", "calibration_error"]
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
    assert len(lines) == 1 + 2 * 4 + 1 + 1 + 1


def test_bare_checkpoint_takes_its_architecture_from_the_benchmark(classifiers, write_benchmark, tmp_path):
    tensors = load_file(classifiers[0] / "model.safetensors")
    save_file(tensors, tmp_path / "bare.st")
    benchmark = write_benchmark(f"model: {classifiers[0]}\n")
    evaluation = evaluate([str(tmp_path / "bare.st"), str(classifiers[0])], [benchmark])
    assert value(evaluation, tmp_path / "bare.st", "loss") == value(evaluation, classifiers[0], "loss")
    assert evaluation.results[0]["head"] == "own"


def test_a_head_that_is_not_needed_is_noted(classifiers, projected_tower, write_benchmark, tmp_path):
    save_file({"heads": torch.randn(CLASSES, 4)}, tmp_path / "heads.st")
    arrays = example_arrays(channels=1)
    benchmark = write_benchmark("head: heads.st#heads\n", **arrays)
    both = evaluate([str(classifiers[0]), str(projected_tower)], [benchmark])
    notes = [note for note in both.notes if "heads.st#heads" in note]
    assert notes == [
        f"tiny, {classifiers[0]}: the model's own classes were used, not the benchmark's head heads.st#heads"
    ]
    alone = evaluate([str(classifiers[0])], [write_benchmark(**arrays)])
    assert value(both, classifiers[0], "loss") == value(alone, classifiers[0], "loss")
    assert not alone.notes


def test_folders_may_have_an_at_sign(write_benchmark, tmp_path):
    make_classifier(0).save_pretrained(tmp_path / "vit@home")
    evaluate([str(tmp_path / "vit@home")], [write_benchmark()], model=str(tmp_path / "vit@home"))


@pytest.mark.parametrize(
    ("model", "asked"), [("hf:org/vit", ("org/vit", None)), ("hf:org/vit@abc", ("org/vit", "abc"))]
)
def test_architecture_from_the_hub(classifiers, write_benchmark, monkeypatch, model, asked):
    import huggingface_hub

    seen = []

    def snapshot_download(name, *, revision, allow_patterns):
        seen.append((name, revision))
        assert not [pattern for pattern in allow_patterns if "safetensors" in pattern]
        return str(classifiers[1])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    evaluate([str(classifiers[0] / "model.safetensors")], [write_benchmark()], model=model)
    assert set(seen) == {asked}


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
    with pytest.raises(MergeError, match="which is missing"):
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
    with pytest.raises(MergeError, match="cannot read"):
        evaluate([str(classifiers[0])], [write_benchmark()], model=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
def test_a_damaged_checkpoint(classifiers, write_benchmark, tmp_path, content):
    (tmp_path / "broken.st").write_bytes(content)
    with pytest.raises(MergeError, match=r"the file is empty|not a safetensors file"):
        evaluate([str(tmp_path / "broken.st")], [write_benchmark()], model=str(classifiers[0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": []}, "no model"),
        ({"benchmarks": []}, "no benchmark"),
        ({"batch_size": 0}, "batch size"),
        ({"ensemble": "logit"}, "did you mean 'logits'?"),
        ({"precision": "float16"}, "did you mean 'bfloat16'?"),
        ({"models": ["ensemble(logits)"], "ensemble": "logits"}, "as the ensemble is"),
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"device": "cuda:x"}, "no device 'cuda:x'"),
        ({"device": "cpu:1"}, "no device 'cpu:1'"),
        ({"model": "timm:resnet188"}, "timm has no architecture 'resnet188'"),
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
    with pytest.raises(MergeError, match="absent: no such file or folder"):
        evaluate(["absent"], ["digits"])


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(MergeError, match="holds no safetensors file"):
        evaluate([str(tmp_path)], ["digits"])


def test_identity_is_the_one_that_merges_record(classifiers, write_benchmark, tmp_path):
    from merge.api import merge
    from merge.recipe import Merge, Model, Recipe

    models = tuple(Model(str(folder)) for folder in classifiers)
    written = merge(Recipe(Merge("soup", models)), out=tmp_path / "soup")
    evaluation = evaluate([str(tmp_path / "soup"), *map(str, classifiers)], [write_benchmark()])
    found = list(dict.fromkeys(row["identity"] for row in evaluation.results))
    assert found == [written.outcome.output_id, *written.outcome.input_ids]


def test_a_recipe_is_merged_in_memory(classifiers, write_benchmark, tmp_path):
    from merge.api import merge

    recipe = tmp_path / "soup.yaml"
    recipe.write_text(f"merge: soup\nmodels: [{classifiers[0]}, {classifiers[1]}]\n")
    merge(recipe, out=tmp_path / "soup")
    before = sorted(tmp_path.iterdir())
    evaluation = evaluate([str(recipe), str(tmp_path / "soup")], [benchmark := write_benchmark()])
    assert sorted(tmp_path.iterdir()) == sorted({*before, tmp_path / "data.npz", Path(benchmark)})
    assert value(evaluation, recipe, "loss") == value(evaluation, tmp_path / "soup", "loss")
    assert len({row["identity"] for row in evaluation.results}) == 1


def test_retention_against_an_expert_that_is_evaluated_too(classifiers, write_benchmark):
    one, two = map(str, classifiers)
    evaluation = evaluate([one], [write_benchmark()], experts={"tiny": two})
    (row,) = evaluation.retention
    assert (row["model"], row["expert"], row["benchmark"]) == (one, two, "tiny")
    assert row["value"] == value(evaluation, one) / value(evaluation, two)
    with pytest.raises(UsageError, match="expert for 'tiney'"):
        evaluate([one], [write_benchmark()], experts={"tiney": two})


def test_bfloat16_is_near_float32(classifiers, write_benchmark):
    losses = [
        value(evaluate([str(classifiers[0])], [write_benchmark()], precision=precision), classifiers[0], "loss")
        for precision in ("float32", "bfloat16")
    ]
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.02)


def test_several_benchmarks_are_averaged(classifiers, write_benchmark, tmp_path):
    first = write_benchmark()
    second = tmp_path / "second.yaml"
    second.write_text(Path(first).read_text().replace("name: tiny", "name: other"))
    evaluation = evaluate([str(classifiers[0])], [first, str(second)])
    assert [row["metric"] for row in evaluation.averages] == ["accuracy", "per_class_accuracy"]
    assert evaluation.averages[0]["value"] == pytest.approx(value_of(evaluation, "tiny"))


def value_of(evaluation, benchmark):
    return next(row["value"] for row in evaluation.results if row["benchmark"] == benchmark)


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
    first, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("first", "second"))
    assert len(first.pop("timings")) == len(second.pop("timings")) == 2
    assert first == second


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, merge.evaluation, merge.reports, merge.demo; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"numpy", "torch", "transformers", "sklearn", "scipy", "matplotlib", "jinja2", "ruamel", "safetensors"}
    assert heavy.isdisjoint(loaded)
