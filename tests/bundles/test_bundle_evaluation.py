"""Bundles under ``merge eval``: T3, DaWin and mixtures against computations of the tests' own."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest
import torch
from checkpoint_files import save
from command_line import assert_refused

SOURCE = """
import torch


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(64, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 12)
        )
        self.gain = torch.nn.Parameter(torch.ones(12))
        self.head = torch.nn.Linear(12, 10)

    def example_inputs(self):
        return (torch.zeros(2, 64),)

    def forward(self, pixels):
        return self.head(torch.tanh(self.body(pixels) * self.gain))
"""
N = 70
MODEL = ("--model", "model.py:Network")


def network(state=None):
    names: dict = {}
    exec(SOURCE, names)
    made = names["Network"]().eval()
    if state is not None:
        made.load_state_dict(state)
    return made


def random_network(seed: int):
    torch.manual_seed(seed)
    made = network()
    with torch.no_grad():
        for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) * 0.6)
    return made.state_dict()


@pytest.fixture
def made(here):
    """A pretrained model, an expert and a benchmark of random images."""
    for seed, name in enumerate(("pretrained", "expert", "third")):
        save(here / f"{name}.st", random_network(seed))
    (here / "model.py").write_text(SOURCE)
    images = np.random.default_rng(3).integers(0, 256, (N, 8, 8), dtype=np.uint8)
    np.savez(here / "test.npz", images=images, labels=np.arange(N) % 10)
    (here / "test.yaml").write_text("name: test\nkind: classification\ndata: {path: test.npz}\n")
    return torch.from_numpy(images).float().div(255).flatten(1)


def through(state, pixels):
    with torch.no_grad():
        return network(state)(pixels).double().numpy()


def between(weight: float):
    one, two = random_network(0), random_network(1)
    return {
        name: weight * tensor + (1 - weight) * two[name] if tensor.is_floating_point() else tensor
        for name, tensor in one.items()
    }


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def divergence(one, two):
    p, q = softmax(one), softmax(two)
    m = (p + q) / 2
    return 0.5 * (p * np.log(p / m)).sum(axis=1) + 0.5 * (q * np.log(q / m)).sum(axis=1)


def losses(logits):
    labels = np.arange(N) % 10
    return float(-np.log(softmax(logits)[np.arange(N), labels]).mean())


def evaluated(cli, *arguments):
    result = cli("eval", *arguments, *MODEL, "--benchmark", "test.yaml", "--json")
    assert result.code == 0, result.err
    rows = json.loads(result.out)["results"]
    return {(row["model"], row["metric"]): row for row in rows}


@pytest.mark.parametrize(("flags", "scale"), [((), "sigmoid"), (("--map", "linear"), "linear")])
def test_t3_merges_for_every_sample(made, cli, flags, scale):
    assert cli("t3", "pretrained.st", "expert.st", "--model", "model.py:Network", *flags, "-o", "t3").code == 0
    found = evaluated(cli, "t3", "--batch-size", "32")
    one, two = through(random_network(0), made), through(random_network(1), made)
    js = divergence(one, two)
    lambdas = 1 / (1 + np.exp(-0.5 * js)) if scale == "sigmoid" else js / np.log(2)
    logits = np.concatenate([through(between(lambdas[i]), made[i : i + 1]) for i in range(N)])
    assert found["t3", "loss"]["value"] == pytest.approx(losses(logits), abs=2e-6)
    assert found["t3", "accuracy"]["value"] == pytest.approx((logits.argmax(1) == np.arange(N) % 10).mean())
    mean = lambdas.mean()
    constant = through(between(mean), made)
    assert found["t3 (constant at the mean)", "loss"]["value"] == pytest.approx(losses(constant), abs=2e-6)
    mixed = np.log(lambdas[:, None] * softmax(one) + (1 - lambdas[:, None]) * softmax(two))
    assert found["t3 (mixed outputs)", "loss"]["value"] == pytest.approx(losses(mixed), abs=2e-6)
    assert found["t3 (pretrained)", "loss"]["value"] == pytest.approx(losses(one), abs=2e-6)
    assert found["t3 (expert)", "loss"]["value"] == pytest.approx(losses(two), abs=2e-6)
    for weight in (0.25, 0.5, 0.75):
        expected = losses(through(between(weight), made))
        assert found[f"t3 (constant {weight:g})", "loss"]["value"] == pytest.approx(expected, abs=2e-6)
    assert found["t3", "accuracy"]["data_use"] == "none"
    assert found["t3 (DaWin)", "accuracy"]["data_use"] == "unlabeled"


def test_t3_b_merges_once_for_a_batch_whatever_the_batch_size_of_running(made, cli):
    flags = ("--mode", "batch", "--batch", "16", "--gamma", "10", "--bounds", ".2,.8", "--direction", "expert")
    assert cli("t3", "pretrained.st", "expert.st", "--model", "model.py:Network", *flags, "-o", "b").code == 0
    js = divergence(through(random_network(0), made), through(random_network(1), made))
    lambdas = 0.2 + 0.6 / (1 + np.exp(-10 * js))
    parts = []
    for first in range(0, N, 16):
        part = slice(first, first + 16)
        parts.append(through(between(1 - lambdas[part].mean()), made[part]))
    expected = losses(np.concatenate(parts))
    for size in ("7", "256"):
        row = evaluated(cli, "b", "--batch-size", size)["b", "loss"]
        assert row["value"] == pytest.approx(expected, abs=2e-6)
        assert row["data_use"] == "unlabeled"


def test_dawin_merges_a_few_times(made, cli):
    flags = ("--model", "model.py:Network", "--clusters", "1", "--no-offset")
    assert cli("dawin", "pretrained.st", "expert.st", *flags, "-o", "d").code == 0
    one, two = through(random_network(0), made), through(random_network(1), made)
    entropy = [-(softmax(each) * np.log(softmax(each))).sum(axis=1) for each in (one, two)]
    shares = np.exp(-entropy[1]) / (np.exp(-entropy[0]) + np.exp(-entropy[1]))
    found = evaluated(cli, "d")
    expected = losses(through(between(1 - shares.mean()), made))
    assert found["d", "loss"]["value"] == pytest.approx(expected, abs=2e-4)
    assert ("d (T3)", "loss") in found
    assert ("d (T3_B, batches of 32)", "loss") in found


@pytest.mark.parametrize("combine", ["logits", "probs", "logprobs"])
def test_a_mixture_of_classifiers(made, cli, combine):
    flags = ("--model", "model.py:Network", "--combine", combine, "--weights", ".2,.3,.5", "--temperature", "1,2,3")
    assert cli("moe", "pretrained.st", "expert.st", "third.st", *flags, "-o", "m").code == 0
    outputs = [through(random_network(seed), made) / (seed + 1) for seed in range(3)]
    weights = (0.2, 0.3, 0.5)
    if combine == "logits":
        expected = sum(w * each for w, each in zip(weights, outputs, strict=True))
    elif combine == "probs":
        expected = np.log(sum(w * softmax(each) for w, each in zip(weights, outputs, strict=True)))
    else:
        expected = sum(w * np.log(softmax(each)) for w, each in zip(weights, outputs, strict=True))
    found = evaluated(cli, "m")
    assert found["m", "loss"]["value"] == pytest.approx(losses(expected), abs=2e-6)
    assert ("m (expert 3)", "loss") in found


def test_batch_one_of_t3_b_is_t3(made, cli):
    for name, flags in (("s", ()), ("one", ("--mode", "batch", "--batch", "1"))):
        model = ("--model", "model.py:Network", "--map", "linear")
        assert cli("t3", "pretrained.st", "expert.st", *model, *flags, "-o", name).code == 0
    found = evaluated(cli, "s", "one")
    assert found["s", "loss"]["value"] == pytest.approx(found["one", "loss"]["value"], abs=2e-6)


def test_a_bundle_stands_beside_checkpoints_and_in_ensembles(made, cli):
    cli("t3", "pretrained.st", "expert.st", "--model", "model.py:Network", "-o", "t3")
    found = evaluated(cli, "t3", "third.st", "--ensemble", "probs")
    assert ("third.st", "accuracy") in found
    assert ("ensemble(probs)", "accuracy") in found


def test_a_report_is_written_with_the_bundle(made, cli, here):
    flags = ("--model", "model.py:Network", "--report-benchmark", "test.yaml", "--report", "report")
    result = cli("t3", "pretrained.st", "expert.st", *flags, "-o", "t3")
    assert result.code == 0, result.err
    assert "report: report/report.html\n" in result.out
    assert "batches of 32" in (here / "report/report.md").read_text()


def test_code_that_a_bundle_names_is_run_only_where_the_user_names_it(made, cli, here):
    cli("t3", "pretrained.st", "expert.st", *MODEL, "-o", "t3")
    (here / "model.py").write_text("raise SystemExit('this was run')")
    result = cli("eval", "t3", "--benchmark", "test.yaml")
    assert_refused(result, 2, "Python code", "model.py:Network", "if you trust")
    assert "this was run" not in result.err


def test_what_does_not_fit_is_refused(made, cli, here):
    bad = random_network(1)
    bad["head.bias"][3] = float("nan")
    save(here / "nan.st", bad)
    cli("t3", "pretrained.st", "nan.st", "--model", "model.py:Network", "-o", "t3")
    assert_refused(cli("eval", "t3", *MODEL, "--benchmark", "test.yaml"), 1, "nan.st", "not finite")
    cli("t3", "pretrained.st", "expert.st", "-o", "bare")
    assert_refused(cli("eval", "bare", "--benchmark", "test.yaml"), 2, "--model")
    (here / "text.txt").write_text("the cat sat on the mat")
    (here / "text.yaml").write_text("name: text\nkind: perplexity\ndata: {path: text.txt}\n")
    cli("t3", "pretrained.st", "expert.st", "--model", "model.py:Network", "-o", "ok")
    assert_refused(cli("eval", "ok", "--benchmark", "text.yaml"), 2, "classes")
    assert_refused(cli("barrier", "ok", "third.st", "--benchmark", "test.yaml"), 2, "bundle")
    flags = ("--mode", "batch", "--towers", "both", "--model", "model.py:Network")
    cli("t3", "pretrained.st", "expert.st", *flags, "-o", "both")
    assert_refused(cli("eval", "both", *MODEL, "--benchmark", "test.yaml"), 2, "towers")


def test_weights_beyond_the_members_mix_no_outputs(made, cli):
    flags = ("--model", "model.py:Network", "--bounds", ".5,.5", "--delta", "1", "--map", "linear")
    assert cli("t3", "pretrained.st", "expert.st", *flags, "-o", "t3").code == 0
    found = evaluated(cli, "t3")
    js = divergence(through(random_network(0), made), through(random_network(1), made))
    lambdas = -0.5 + 2 * js / np.log(2)
    logits = np.concatenate([through(between(lambdas[i]), made[i : i + 1]) for i in range(N)])
    assert found["t3", "loss"]["value"] == pytest.approx(losses(logits), abs=5e-6)
    assert ("t3 (mixed outputs)", "loss") not in found
    assert (
        "beyond the two models: there are no mixed outputs" in cli("eval", "t3", *MODEL, "--benchmark", "test.yaml").out
    )


def test_the_time_of_all_rows_is_said_to_be_that(made, cli):
    assert cli("t3", "pretrained.st", "expert.st", "--model", "model.py:Network", "-o", "t3").code == 0
    notes = json.loads(cli("eval", "t3", *MODEL, "--benchmark", "test.yaml", "--json").out)["notes"]
    assert [note for note in notes if "time" in note] == [
        "test, t3: its time and items per second are of all its 10 rows"
    ]


def test_one_member_is_in_memory_twice_at_most_while_networks_are_built(made, cli, monkeypatch):
    from merge.bundles.member import Member

    alive: list = []
    load = Member.load

    def watched(member):
        assert all(reference() is None for reference in alive), "the checkpoint before is still in memory"
        candidate = load(member)
        alive.append(weakref.ref(candidate))
        return candidate

    monkeypatch.setattr(Member, "load", watched)
    cli("t3", "pretrained.st", "expert.st", "--model", "model.py:Network", "-o", "t3")
    evaluated(cli, "t3")
    assert len(alive) == 2
