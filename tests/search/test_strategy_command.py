"""``merge soup --strategy``: what is selected, recorded, reported, resumed and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from merge.cli import main
from merge.evaluation import evaluate


@pytest.fixture
def run(capsys):
    def call(*arguments, code=0):
        found = main([*map(str, arguments)])
        printed = capsys.readouterr()
        assert found == code, printed.err
        return printed

    return call


def soup(run, models, strategy, out, *more):
    return json.loads(run("soup", *models, "--strategy", strategy, "-o", out, "--json", *more).out)


def accuracy(model, benchmark):
    return evaluate([str(model)], [benchmark]).results[0]["value"]


def test_greedy_is_a_plain_soup_of_what_it_selected(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    found = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"])["greedy"]
    alone = {row["model"]: row["score"] for row in found["members"]}
    assert alone == {model: accuracy(model, benchmarks["select"]) for model in models}
    assert [row["rank"] for row in found["members"]] == [1, 2, 3]
    assert found["selected"][0] == max(models, key=lambda model: (alone[model], -models.index(model)))
    assert found["score"] >= max(alone.values())
    assert found["written"]["score"] == accuracy(out, benchmarks["select"])
    expected = [load_file(Path(model) / "model.safetensors") for model in found["selected"]]
    written = load_file(out / "model.safetensors")
    for name, tensor in written.items():
        mean = torch.stack([one[name].double() for one in expected]).mean(0)
        torch.testing.assert_close(tensor.double(), mean, rtol=1e-6, atol=1e-7)
    run("verify", out)


def test_candidates_are_the_averages_that_they_claim_to_be(run, models, benchmarks, tmp_path):
    found = soup(run, models, "greedy", tmp_path / "out", "--benchmark", benchmarks["select"])["greedy"]
    for number, step in enumerate(found["steps"]):
        run("soup", *step["members"], "-o", tmp_path / f"step{number}")
        assert step["score"] == accuracy(tmp_path / f"step{number}", benchmarks["select"])


def test_scores_are_kept_and_used_again(run, models, benchmarks, tmp_path):
    out, scores = tmp_path / "out", tmp_path / "out.scores.jsonl"
    first = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"])["greedy"]
    lines = scores.read_text().splitlines()
    assert len(lines) == 5
    scores.write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])  # cut off by a crash
    arguments = ["soup", *models, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", out, "--force"]
    printed = run(*arguments).out
    assert "3 scores were known" in printed
    assert f"selected {len(first['selected'])} of 3 models: {', '.join(first['selected'])}" in printed
    assert "5 scores were known" in run(*arguments).out
    again = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"], "--force")["greedy"]
    assert again == first
    other = soup(run, models, "greedy", out, "--benchmark", benchmarks["report"], "--force")["greedy"]
    assert other["members"] != first["members"]


def test_the_same_weights_under_two_names_are_said(run, models, benchmarks, tmp_path):
    import shutil

    twin = tmp_path / "twin"
    shutil.copytree(models[0], twin)
    printed = run(
        "soup", models[0], twin, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", tmp_path / "o"
    )
    assert f"{twin} holds the same weights as {models[0]}" in printed.out


def test_one_model_alone_is_passed_through(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    found = soup(run, models, "greedy", out, "--benchmark", benchmarks["select"], "--minimum-gain", "2")["greedy"]
    (best,) = found["selected"]
    original, written = (load_file(Path(folder) / "model.safetensors") for folder in (best, out))
    assert all(torch.equal(original[name], written[name]) for name in original)


@pytest.mark.parametrize("more", [[], ["--by-tensor"], ["--memory", "1"]])
def test_learned_weights_are_recorded_and_lower_the_loss(run, models, benchmarks, tmp_path, more):
    out = tmp_path / "out"
    settings = ["--benchmark", benchmarks["select"], "--batch-size", "16", "--epochs", "3"]
    printed = run("soup", *models, "--strategy", "learned", "-o", out, "--json", *settings, *more)
    found = json.loads(printed.out)["learned"]
    shown = ", ".join(f"{row['model']} {row['weight']:.4g}" for row in found["weights"])
    assert f"note: weights learned on select: {shown}\n" in printed.err
    assert found["loss_after"] < found["loss_before"]
    assert len(found["history"]) == 6
    assert sum(row["weight"] for row in found["weights"]) == pytest.approx(1)
    run("verify", out)
    evaluation = evaluate([str(out)], [benchmarks["select"]])
    assert evaluation.results[1]["value"] == pytest.approx(found["loss_after"], rel=1e-5)
    if not more:
        weights = [row["weight"] for row in found["weights"]]
        tensors = [load_file(Path(model) / "model.safetensors")["classifier.weight"].double() for model in models]
        expected = sum(weight * tensor for weight, tensor in zip(weights, tensors, strict=True))
        written = load_file(out / "model.safetensors")["classifier.weight"]
        torch.testing.assert_close(written.double(), expected, rtol=1e-6, atol=1e-7)


def test_memory_decides_about_reads_and_nothing_else(run, models, benchmarks, tmp_path):
    settings = ["--benchmark", benchmarks["select"], "--epochs", "1"]
    files = []
    for number, memory in enumerate(("1", "10KB", "1GB")):
        run(
            "soup",
            *models,
            "--strategy",
            "learned",
            "-o",
            tmp_path / f"{number}.st",
            "--memory",
            memory,
            "--model",
            models[0],
            *settings,
        )
        files.append((tmp_path / f"{number}.st").read_bytes())
    assert files[0] == files[1] == files[2]


def test_gradient_against_finite_differences(models, benchmarks):
    from merge.evaluation.locate import locate
    from merge.evaluation.specification import read_benchmark
    from merge.evaluation.task import Settings

    task = read_benchmark(benchmarks["select"]).prepare(Settings())
    candidate = locate(models[0]).load()
    gradients = task.differentiate(candidate)
    items = np.arange(8)

    def loss(name, shift, temperature=1.0):
        tensors = dict(candidate.tensors)
        tensors[name] = tensors[name] + shift
        return gradients.step(tensors, items, temperature)

    value, slope, slope_of_temperature = loss("classifier.bias", torch.zeros(3))
    assert set(slope) == set(candidate.tensors)  # the library renames most of them on the way in
    for name in ("classifier.bias", "vit.encoder.layer.0.attention.attention.query.weight"):
        step = torch.zeros_like(candidate.tensors[name])
        step.flatten()[1] = 0.01
        numeric = (loss(name, step)[0] - loss(name, -step)[0]) / 0.02
        assert numeric == pytest.approx(slope[name].flatten()[1].item(), abs=1e-3)
    numeric = (loss(name, 0, 1.01)[0] - loss(name, 0, 0.99)[0]) / 0.02
    assert numeric == pytest.approx(slope_of_temperature, abs=1e-3)
    assert value == loss(name, 0)[0]


@pytest.mark.parametrize(("reported", "shared"), [("report", False), ("mixed", True), ("select", True)])
def test_reporting_on_the_data_of_the_selection_is_said(run, models, benchmarks, tmp_path, reported, shared):
    report = tmp_path / "report"
    arguments = ["--benchmark", benchmarks["select"], "--report-benchmark", benchmarks[reported], "--report", report]
    printed = run("soup", *models, "--strategy", "greedy", "-o", tmp_path / "out", *arguments)
    assert ("flatter" in printed.err) is shared
    found = json.loads((report / "results.json").read_text())
    assert found["greedy"]["same_data_as_report"] is shared
    assert {row["data_use"] for row in found["results"]} == {"held-out"}
    assert {row["benchmark"] for row in found["results"]} == {reported}


def test_data_use_travels_with_the_weights(run, models, benchmarks, tmp_path):
    run("soup", *models, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", tmp_path / "out")
    run("soup", tmp_path / "out", models[0], "-o", tmp_path / "next")
    evaluation = evaluate([str(tmp_path / "next"), models[0]], [benchmarks["report"]])
    assert [row["data_use"] for row in evaluation.results if row["metric"] == "accuracy"] == ["held-out", "none"]
    assert "selected greedily on select" in (tmp_path / "out" / "README.md").read_text()


def test_learned_weights_are_those_of_a_plain_loop(run, models, benchmarks, tmp_path):
    from transformers import ViTForImageClassification

    more = ["--benchmark", benchmarks["select"], "--batch-size", "16", "--epochs", "2"]
    found = soup(run, models, "learned", tmp_path / "out", *more)["learned"]
    data = np.load(benchmarks["select"].replace(".yaml", ".npz"))
    networks = [ViTForImageClassification.from_pretrained(model).eval() for model in models]
    parameters = [dict(network.named_parameters()) for network in networks]
    raw = torch.full((1, 3), 1 / 3, dtype=torch.float64, requires_grad=True)
    temperature = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([raw, temperature], lr=0.05, weight_decay=0)
    generator = np.random.default_rng(0)
    for _ in range(2):
        order = generator.permutation(32)
        for items in (order[:16], order[16:]):
            alpha = raw.softmax(1)[0].float()
            mixed = {
                name: sum(a * one[name] for a, one in zip(alpha, parameters, strict=True)) for name in parameters[0]
            }
            pixels = torch.from_numpy(data["images"][items]).float()[:, None] / 255
            logits = torch.func.functional_call(networks[0], mixed, kwargs={"pixel_values": pixels}).logits
            loss = torch.nn.functional.cross_entropy(
                temperature.float() * logits, torch.from_numpy(data["labels"][items])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    expected = raw.softmax(1)[0].tolist()
    assert [row["weight"] for row in found["weights"]] == pytest.approx(expected, abs=1e-4)
    assert found["temperature"] == pytest.approx(temperature.item(), abs=1e-4)


def test_other_rules_are_scored_anew(run, models, benchmarks, tmp_path):
    out, more = tmp_path / "out", ["--benchmark", benchmarks["select"], "--metric", "loss", "--force"]
    soup(run, models, "greedy", out, *more)
    kept = ["--base", models[0], "--keep", "*attention*", *more]
    found = soup(run, models, "greedy", out, *kept)["greedy"]
    fresh = soup(run, models, "greedy", tmp_path / "fresh", *kept)["greedy"]
    assert found == fresh
    assert found["written"]["score"] == pytest.approx(found["score"], rel=1e-5)
    alone = {row["model"]: row["score"] for row in found["members"]}
    assert alone[models[1]] != evaluate([models[1]], [benchmarks["select"]]).results[1]["value"]  # kept tensors count
    assert soup(run, models, "greedy", out, "--dtype", "bfloat16", *more)["greedy"]["members"] != found["members"]


def test_a_changed_configuration_is_scored_anew(run, models, benchmarks, tmp_path):
    import shutil

    copies = [shutil.copytree(model, tmp_path / Path(model).name) for model in models]
    arguments = ["soup", *copies, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", tmp_path / "out"]
    run(*arguments)
    for copy in copies:
        config = json.loads((copy / "config.json").read_text()) | {"layer_norm_eps": 0.5}
        (copy / "config.json").write_text(json.dumps(config))
    assert "were known" not in run(*arguments, "--force").out


def test_models_with_a_tensor_more_or_another_prefix_take_part(run, models, benchmarks, tmp_path):
    import shutil

    from safetensors.torch import save_file

    for name, change in {
        "more": lambda tensors: tensors | {"extra.weight": torch.zeros(2)},
        "prefix": lambda tensors: {f"module.{key}": tensor for key, tensor in tensors.items()},
    }.items():
        folder = shutil.copytree(models[1], tmp_path / name)
        save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")
        more = ["--benchmark", benchmarks["select"], "--missing", "skip"]
        found = soup(run, [models[0], folder], "greedy", tmp_path / f"{name}-out", *more)["greedy"]
        scores = {row["model"]: row["score"] for row in found["members"]}
        assert scores[str(folder)] == accuracy(models[1], benchmarks["select"])


def test_a_damaged_line_of_scores_is_passed_over(run, models, benchmarks, tmp_path):
    out, scores = tmp_path / "out", tmp_path / "out.scores.jsonl"
    more = ["--benchmark", benchmarks["select"]]
    first = soup(run, models, "greedy", out, *more)["greedy"]
    lines = [json.loads(line) for line in scores.read_text().splitlines()]
    lines[0]["value"], lines[1]["value"] = "high", float("nan")
    scores.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert soup(run, models, "greedy", out, *more, "--force")["greedy"] == first


@pytest.mark.parametrize("form", ["float", "png", "corrupted"])
def test_the_same_images_in_another_form_are_found_out(run, models, benchmarks, tmp_path, form):
    from PIL import Image

    data = np.load(benchmarks["select"].replace(".yaml", ".npz"))
    text = "name: other\nkind: classification\ndata: {path: other.npz, split: report}\n"
    if form == "png":
        for number, (image, label) in enumerate(zip(data["images"], data["labels"], strict=True)):
            folder = tmp_path / "pictures" / "report" / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number}.png")
        text = text.replace("other.npz", "pictures")
    else:
        images = data["images"].astype(np.float32) / 255 if form == "float" else data["images"]
        np.savez(tmp_path / "other.npz", images=images, labels=data["labels"])
        text += "corruption: {name: contrast, severity: 1}\n" if form == "corrupted" else ""
    (tmp_path / "other.yaml").write_text(text)
    arguments = ["--benchmark", benchmarks["select"], "--report-benchmark", tmp_path / "other.yaml"]
    assert "flatter" in run("soup", *models, "--strategy", "greedy", "-o", tmp_path / "out", *arguments).err


def test_data_to_report_on_are_opened_before_anything_is_scored(run, models, benchmarks, tmp_path):
    text = "kind: classification\ndata: {path: other.npz}\n"
    (tmp_path / "other.yaml").write_text(text)
    np.savez(tmp_path / "other.npz", X_test=np.zeros((2, 8, 8)), y_test=np.zeros(2, int))
    arguments = ["--benchmark", benchmarks["select"], "--report-benchmark", tmp_path / "other.yaml"]
    printed = run("soup", *models, "--strategy", "greedy", "-o", tmp_path / "out", *arguments, code=2)
    assert "there are: X_test, y_test" in printed.err
    assert not list(tmp_path.glob("out*"))


def test_a_dry_run_evaluates_and_writes_nothing(run, models, benchmarks, tmp_path):
    out = tmp_path / "out"
    printed = run("soup", *models, "--strategy", "greedy", "--benchmark", benchmarks["select"], "-o", out, "--dry-run")
    assert "up to 5 evaluations" in printed.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "greedi"], "did you mean 'greedy'?"),
        (["--strategy", "greedy"], "needs held-out data"),
        (["--benchmark", "digits"], "--benchmark belongs to --strategy greedy or learned"),
        (["--accept", "gt"], "--accept belongs to --strategy greedy, not uniform"),
        (["--strategy", "greedy", "--benchmark", "digits", "--by-tensor"], "belongs to --strategy learned"),
        (["--strategy", "learned", "--benchmark", "digits", "--minimum-gain", "1"], "belongs to --strategy greedy"),
        (["--strategy", "greedy", "--benchmark", "digits", "--accept", "le"], "--accept must be ge or gt"),
        (["--strategy", "greedy", "--benchmark", "digits", "--weights", "1,2,3"], "finds the weights itself"),
        (["--strategy", "learned", "--benchmark", "digits", "--learning-rate", "0"], "must be above 0"),
        (["--strategy", "greedy", "--benchmark", "digit"], "no such benchmark file"),
    ],
)
def test_refusals(run, models, tmp_path, arguments, message):
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=2)
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_metric(run, models, benchmarks, tmp_path):
    arguments = ["--strategy", "greedy", "--benchmark", benchmarks["select"], "--metric", "acuracy"]
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=2)
    assert "did you mean 'accuracy'?" in printed.err


def test_going_by_the_loss(run, models, benchmarks, tmp_path):
    more = ["--benchmark", benchmarks["select"], "--metric", "loss"]
    found = soup(run, models, "greedy", tmp_path / "out", *more)["greedy"]
    scores = [row["score"] for row in found["members"]]
    assert scores == sorted(scores)
    assert (found["metric"], found["higher_is_better"]) == ("loss", False)
    assert found["score"] <= scores[0]


def test_a_foreign_file_of_scores_is_left_alone(run, models, benchmarks, tmp_path):
    scores = tmp_path / "notes.txt"
    scores.write_text("mine\n")
    arguments = ["--strategy", "greedy", "--benchmark", benchmarks["select"], "--scores", scores]
    printed = run("soup", *models, "-o", tmp_path / "out", *arguments, code=1)
    assert "holds something else than scores" in printed.err
    assert scores.read_text() == "mine\n"
