"""``merge bn-reset`` and ``merge repair`` as a user sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from command_line import assert_refused, contents
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_networks import MODEL_FILE, Flat, Instance, Normed, Plain, Unused, made, pixels, write

from merge.schema import SCHEMAS

RUNNING = ("running_mean", "running_var", "num_batches_tracked")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Any) -> Path:
    """A folder with two networks of each kind, their averages, and images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks.py").write_text(MODEL_FILE)
    for kind, name in ((Normed, "n"), (Plain, "p")):
        for seed in (1, 2):
            write(made(kind, seed), tmp_path / f"{name}{seed}.st")
        assert cli("soup", f"{name}1.st", f"{name}2.st", "-o", f"{name}.st").code == 0
    images = (pixels(60)[:, 0] * 255).byte().numpy()
    np.savez(tmp_path / "images.npz", images=images, labels=np.arange(60) % 10)
    return tmp_path


def reset(cli: Any, *more: object, model: object = "n.st", out: object = "out.st") -> Any:
    given = ("--data", "images.npz", "--model", "networks.py:Normed", "--device", "cpu")
    return cli("bn-reset", model, *given, "-o", out, *more)


def repair(cli: Any, *more: object, model: object = "p.st", kind: str = "Plain", out: object = "out.st") -> Any:
    toward = [f"--toward={kind[0].lower()}{number}.st" for number in (1, 2)]
    given = ("--data", "images.npz", "--model", f"networks.py:{kind}", "--device", "cpu")
    return cli("repair", model, *toward, *given, "-o", out, *more)


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def test_reset_replaces_the_statistics_and_nothing_else(cli, here):
    result = reset(cli, "--batch-size", 60)
    assert result.code == 0, result.err
    assert "2 BatchNorm layers reset: activations measured on 60 items of images" in result.out
    before, after = load_file("n.st"), load_file("out.st")
    network = Normed()
    network.load_state_dict(before)
    for name in before:
        same = torch.equal(before[name], after[name])
        assert same is not name.endswith(RUNNING), name
    network.conv1.requires_grad_(False)
    inputs = network.conv1(torch.from_numpy(np.load("images.npz")["images"])[:, None].float() / 255)
    assert torch.allclose(after["bn1.running_mean"], inputs.mean((0, 2, 3)), atol=1e-6)
    assert torch.allclose(after["bn1.running_var"], inputs.var((0, 2, 3)), rtol=1e-5)
    assert metadata(here / "out.st")["merge.data_use"] == "unlabeled"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_types_stay(cli, here, dtype):
    write(made(Normed, 3), here / "other.st", dtype)
    assert reset(cli, model="other.st").code == 0
    before, after = load_file("other.st"), load_file("out.st")
    assert {name: one.dtype for name, one in before.items()} == {name: one.dtype for name, one in after.items()}
    assert torch.equal(before["conv1.weight"], after["conv1.weight"])
    assert not torch.equal(before["bn1.running_var"], after["bn1.running_var"])


def test_what_is_written_can_be_repeated_from_the_file_of_statistics(cli, here):
    assert reset(cli).code == 0
    assert cli("verify", "out.st").code == 0
    text = (here / "out.st.md").read_text()
    assert "bn-reset: ./n.st\nstatistics: ./out.st.statistics/batch-norm.safetensors" in text
    assert "2 BatchNorm layers reset" in text
    file = "out.st.statistics/batch-norm.safetensors"
    assert cli("bn-reset", "n.st", "--statistics", file, "-o", "again.st").code == 0
    first, second = load_file("out.st"), load_file("again.st")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert metadata(here / "out.st")["merge.output"] == metadata(here / "again.st")["merge.output"]
    tensors, facts = load_file(file), metadata(here / file)
    save_file({name: one + 1 for name, one in tensors.items()}, here / file, facts)
    result = cli("verify", "out.st")
    assert result.code == 1
    assert "input changed since: " in result.out


def test_statistics_that_are_there_are_used_again_or_replaced(cli, here):
    assert reset(cli).code == 0
    again = reset(cli, "--force")
    assert again.code == 0
    assert "note: the statistics are there already" in again.out
    (here / "out.st").unlink()
    (here / "out.st.md").unlink()
    assert_refused(reset(cli, "--samples", 20), 2, "other statistics stand there", "--force")
    assert reset(cli, "--samples", 20, "--force").code == 0


def test_the_same_command_gives_the_same_bytes_and_another_seed_other_items(cli, here):
    for out, seed in (("a.st", 1), ("b.st", 1), ("c.st", 2)):
        assert reset(cli, "--samples", 20, "--seed", seed, out=out).code == 0
    a, b, c = (load_file(f"{name}.st")["bn1.running_mean"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_in_json_and_with_a_report(cli, here):
    result = reset(cli, "--json", "--report", "report")
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["merge"]())
    measured = document["measured"]
    assert (measured["kind"], measured["layers"]) == ("batch-norm", {"reset": 2})
    assert measured["about"]["data"]["number"] == 60
    report = json.loads((here / "report" / "results.json").read_text())
    jsonschema.validate(report, SCHEMAS["report"]())
    assert report["measured"] == measured
    assert "Measured on data" in (here / "report" / "report.md").read_text()


def test_a_dry_run_reads_headers_only(cli, here):
    before = contents(here)
    result = reset(cli, "--dry-run")
    assert result.code == 0
    assert "batch-norm statistics will be measured on images.npz" in result.out
    assert "cast" not in result.out
    assert json.loads(reset(cli, "--dry-run", "--json").out)["counts"] == {"copy": 15, "skip": 0}
    assert contents(here) == before


def test_a_layer_that_does_not_run_is_told(cli, here):
    write(made(Unused, 1), here / "unused.st")
    result = cli(
        "bn-reset", "unused.st", "--data", "images.npz", "--model", "networks.py:Unused", "-o", "out.st", "--quiet"
    )
    assert result.code == 0
    assert (result.out, result.err) == ("", "")
    assert (
        "1 layer stays as before: it did not run, or not by torch's function batch_norm (spare)"
        in (here / "out.st.md").read_text()
    )
    before, after = load_file("unused.st"), load_file("out.st")
    assert torch.equal(before["spare.running_mean"], after["spare.running_mean"])


def test_a_norm_that_is_no_batch_norm_is_not_counted_and_keeps_its_statistics(cli, here):
    write(made(Instance, 1), here / "instance.st")
    given = ("--data", "images.npz", "--model", "networks.py:Instance", "-o", "out.st")
    result = cli("bn-reset", "instance.st", *given, "--json")
    assert json.loads(result.out)["measured"]["layers"] == {"reset": 2}
    assert "1 layer stays as before: it did not run, or not by torch's function batch_norm (instance)" in result.err
    before, after = load_file("instance.st"), load_file("out.st")
    assert torch.equal(before["instance.running_mean"], after["instance.running_mean"])


def test_statistics_that_were_no_numbers_are_measured_like_others(cli, here):
    state = load_file("n.st")
    state["bn1.running_mean"][0], state["bn1.running_var"][:2] = float("nan"), float("inf")
    save_file(state, here / "broken.st")
    for model, out in (("n.st", "out.st"), ("broken.st", "mended.st")):
        result = reset(cli, model=model, out=out)
        assert result.code == 0, result.err
    whole, mended = load_file("out.st"), load_file("mended.st")
    assert all(torch.equal(whole[name], mended[name]) for name in whole)


def few_images(here: Path, count: int) -> str:
    np.savez(here / "few.npz", images=(pixels(count)[:, 0] * 255).byte().numpy())
    return "few.npz"


def test_few_items_are_warned_of_and_one_is_refused_where_there_is_no_variance(cli, here):
    result = reset(cli, "--data", few_images(here, 3))
    assert result.code == 0, result.err
    assert "measured on 3 items only: means and variances of so few are far from those of all data" in result.err
    assert "items only" not in reset(cli, out="many.st").err
    write(made(Flat, 1), here / "flat.st")
    given = ("--data", few_images(here, 1), "--model", "networks.py:Flat", "-o", "flat-out.st")
    assert_refused(cli("bn-reset", "flat.st", *given), 1, "no more than 1 value per channel", "'norm.'", "more data")
    assert not [name for name in contents(here) if name.startswith("flat-out")]


def test_statistics_too_large_for_the_type_are_told_what_helps(cli, here):
    network = made(Normed, 3)
    with torch.no_grad():
        network.conv2.weight.mul_(20000)
    write(network, here / "half.st", torch.float16)
    result = reset(cli, model="half.st")
    assert_refused(result, 1, "'bn2.running_var' is beyond the largest F16", "merge cast half.st --dtype float32")
    assert not (here / "out.st").exists()
    assert cli("cast", "half.st", "--dtype", "float32", "-o", "wider.st").code == 0
    assert reset(cli, "--force", model="wider.st").code == 0


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    from merge.after import passes

    run, calls = passes._run_once, []

    def once(*given: Any) -> None:
        run(*given)
        calls.append(1)
        if len(calls) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr("merge.calibration.storing.SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(passes, "_run_once", once)


@pytest.mark.parametrize(("ask", "after"), [(reset, 3), (repair, 2), (repair, 5), (repair, 8)])
def test_an_interrupted_run_is_resumed_to_the_same_bytes(cli, here, monkeypatch, ask, after):
    assert ask(cli, "--batch-size", 20, out="whole.st").code == 0
    with monkeypatch.context() as patch:
        interrupted(patch, after)
        result = ask(cli, "--batch-size", 20)
    assert result.code == 130
    assert "interrupted; --resume goes on from what was measured" in result.err
    assert not (here / "out.st").exists()
    result = ask(cli, "--batch-size", 20, "--resume")
    assert result.code == 0, result.err
    assert f"resumed after {20 * (after - 1)} items" in result.out
    found = contents(here)
    names = [name for name in found if name.startswith("out.st.statistics/")]
    assert [found[name] for name in names] == [found[name.replace("out", "whole")] for name in names]
    one, other = load_file("out.st"), load_file("whole.st")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_repair_writes_scaled_weights_and_shifted_biases(cli, here):
    result = repair(cli)
    assert result.code == 0, result.err
    assert "3 layers corrected: activations measured on 60 items of images" in result.out
    assert "goal: the average of p1.st, p2.st" in result.out
    assert "1 layer without a bias is scaled, not shifted" in result.err
    found = load_file("out.st.statistics/repair.safetensors")
    before, after = load_file("p.st"), load_file("out.st")
    scale, shift = found["first.bias"]
    assert torch.equal(scale, found["first.weight"])
    assert torch.allclose(after["first.weight"], before["first.weight"] * scale[:, None].float(), rtol=1e-6)
    assert torch.allclose(after["first.bias"], (before["first.bias"] * scale + shift).float(), rtol=1e-6)
    assert cli("verify", "out.st").code == 0
    assert "repair: ./p.st" in (here / "out.st.md").read_text()


def test_repair_of_a_network_with_batch_norm_resets_it_too(cli, here):
    result = repair(cli, "--json", model="n.st", kind="Normed")
    document = json.loads(result.out)
    assert document["measured"]["layers"] == {"reset": 2, "corrected": 3}
    assert [one["model"] for one in document["measured"]["about"]["toward"]] == ["n1.st", "n2.st"]
    assert document["tensors"]["merge"] == 5  # three weights, two biases
    assert cli("verify", "out.st").code == 0


def test_repair_toward_more_models_and_a_folder_as_output(cli, here):
    assert repair(cli, "--toward", "p1.st", out="folder").code == 0
    assert cli("verify", "folder").code == 0
    assert (here / "folder.statistics" / "repair.safetensors").is_file()


def goals(here: Path, *shares: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and deviation that the first layer's outputs shall have, by hand."""
    rows = torch.from_numpy(np.load(here / "images.npz")["images"]).flatten(1).double() / 255
    ends = [load_file(here / f"p{number}.st") for number in (1, 2)]
    outputs = [rows @ end["first.weight"].double().T + end["first.bias"].double() for end in ends]
    mean = sum(share * one.mean(0) for share, one in zip(shares, outputs, strict=True))
    return mean, sum(share * one.std(0) for share, one in zip(shares, outputs, strict=True))


def test_repair_of_an_average_by_weights_is_toward_the_same_weights(cli, here):
    assert cli("soup", "p1.st", "p2.st", "--weights", "3,1", "-o", "w.st").code == 0
    result = repair(cli, "--weights", "3,1", "--report", "report", model="w.st")
    assert result.code == 0, result.err
    assert "goal: 0.75 * p1.st + 0.25 * p2.st" in result.out
    text = (here / "report" / "report.md").read_text()
    assert "brought to the average of p1.st (75.00 %) and p2.st (25.00 %)" in text.replace("\N{NO-BREAK SPACE}", " ")
    rows = torch.from_numpy(np.load("images.npz")["images"]).flatten(1).double() / 255
    after = load_file("out.st")
    outputs = rows @ after["first.weight"].double().T + after["first.bias"].double()
    mean, deviation = goals(here, 0.75, 0.25)
    assert torch.allclose(outputs.mean(0), mean, atol=1e-6)
    assert torch.allclose(outputs.std(0), deviation, rtol=1e-3)
    assert not torch.allclose(outputs.mean(0), goals(here, 0.5, 0.5)[0], atol=1e-3)
    assert cli("verify", "out.st").code == 0


@pytest.mark.parametrize("weights", ["1", "1,2,3", "1,x", "-1,2", "0,0", "nan,1", "1,inf", ""])
def test_weights_that_are_none_are_refused(cli, here, weights):
    assert_refused(repair(cli, "--weights", weights), 2, "--weights")


def test_an_output_never_replaces_a_model_of_toward(cli, here):
    before = (here / "p1.st").read_bytes()
    for more in ((), ("--dry-run",)):
        assert_refused(repair(cli, "--force", *more, out="p1.st"), 2, "p1.st", "the output is one of the inputs")
    assert (here / "p1.st").read_bytes() == before


def test_models_that_do_not_fit_are_refused_by_their_headers(cli, here):
    assert_refused(repair(cli, "--toward", "n1.st", "--dry-run"), 1, "n1.st", "'first.weight' is absent", "in p.st")


def test_tensors_that_are_no_layer_are_named(cli, here):
    for seed in (1, 2):
        write(made(Flat, seed), here / f"f{seed}.st")
    assert cli("soup", "f1.st", "f2.st", "-o", "f.st").code == 0
    result = repair(cli, model="f.st", kind="Flat")
    assert result.code == 0, result.err
    assert "1 tensor stays as before: no weight of a linear or convolutional layer that ran (token)" in result.err


def test_models_in_another_order_are_warned_of(cli, here):
    save_file({name: -one for name, one in load_file("p.st").items()}, here / "far.st")
    result = repair(cli, model=here / "far.st")
    assert result.code == 0, result.err
    assert "the model is no average of the models of --toward (cosine -1.00)" in result.err
    assert "give the aligned ones" in result.err


def test_refusals_in_one_line(cli, here):
    (here / "there.st").write_text("precious")
    (here / "text.txt").write_text("a text\n")
    reset(cli, out="n-reset.st")
    file = "n-reset.st.statistics/batch-norm.safetensors"
    cases: list[tuple[Any, int, tuple[str, ...]]] = [
        (reset(cli, model="p.st"), 2, ("p.st", "no BatchNorm statistics")),
        (reset(cli, model="none.st"), 2, ("none.st", "no such file")),
        (reset(cli, out="there.st"), 2, ("there.st", "the output exists", "--force")),
        (reset(cli, "--force", out="n.st"), 2, ("n.st", "one of the inputs")),
        (reset(cli, "--samples", 1), 2, ("--samples", "samples must be >= 2")),
        (reset(cli, "--draw", "frist"), 2, ("--draw", "did you mean 'first'?")),
        (reset(cli, "--data", "none.npz"), 2, ("none.npz",)),
        (reset(cli, "--statistics", file), 2, ("both --data and --statistics",)),
        (cli("bn-reset", "n.st", "-o", "out.st"), 2, ("measures on data", "--data SPEC")),
        (cli("bn-reset", "n.st", "--statistics", file, "--samples", 3, "-o", "out.st"), 2, ("--samples",)),
        (cli("bn-reset", "n.st", "--statistics", file, "--seed", 3, "-o", "out.st"), 2, ("--seed", "leave it out")),
        (cli("repair", "n.st", "--statistics", file, "--toward", "n1.st", "-o", "out.st"), 2, ("--toward",)),
        (cli("repair", "n.st", "--statistics", file, "--weights", "1,2", "-o", "out.st"), 2, ("--weights",)),
        (cli("bn-reset", "n1.st", "--statistics", file, "-o", "out.st"), 1, ("measured on another model than n1.st",)),
        (cli("bn-reset", "p.st", "--statistics", file, "-o", "out.st"), 1, ("another model",)),
        (cli("repair", "n.st", "--statistics", file, "-o", "out.st"), 2, ("holds batch-norm statistics, not repair",)),
        (cli("bn-reset", "n.st", "--statistics", "p1.st", "-o", "out.st"), 2, ("holds no statistics",)),
        (cli("bn-reset", "n.st", "--data", "images.npz", "-o", "out.st"), 2, ("n.st", "--model")),
        (cli("bn-reset", "n.st", "--data", "text.txt", "--model", "networks.py:Normed", "-o", "out.st"), 2, ("n.st",)),
        (cli("repair", "p.st", "--data", "images.npz", "-o", "out.st"), 2, ("--toward A --toward B",)),
        (repair(cli, "--toward", "none.st"), 2, ("none.st",)),
        (repair(cli, "--toward", "n1.st"), 1, ("n1.st", "'first.weight' is absent", "in p.st")),
        (repair(cli, "--dtype", "bfloat16"), 2, ("--dtype",)),
    ]
    for result, code, words in cases:
        assert_refused(result, code, *words)
    assert (here / "there.st").read_text() == "precious"
    assert not [name for name in contents(here) if name.startswith(("out", ".out"))]


def test_a_nan_in_the_network_is_told(cli, here):
    state = load_file("n.st")
    state["conv1.weight"][0] = float("nan")
    save_file(state, here / "broken.st")
    assert_refused(reset(cli, model="broken.st"), 1, "activations at 'bn1.' are not finite", "broken.st")


def test_an_average_is_warned_of_with_the_name_of_the_command(cli, here):
    result = cli("soup", "n1.st", "n2.st", "-o", "out.st")
    assert "4 BatchNorm statistics are averaged, not recalibrated: merge bn-reset does that" in result.err


def test_both_are_listed_and_underscores_will_do(cli, here):
    text = cli("--help").out
    assert "bn-reset" in text
    assert "repair" in text
    assert cli("bn_reset", "n.st", "--data", "images.npz", "--model", "networks.py:Normed", "-o", "out.st").code == 0
