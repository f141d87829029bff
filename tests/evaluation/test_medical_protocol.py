"""The whole medical protocol on small generated data, and on corrupted digits, with tiny CLIP models."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from medical_files import write_all
from tiny_clip import make_clip

from merge.evaluation.data import medmnist_c

KINDS = {
    "accuracy": "top-1 accuracy %",
    "per_class_accuracy": "balanced accuracy %",
    "auc": "area under the ROC curve %",
}
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SEEDS = ("0", "1", "2")
TWO = ("pixelate", "speckle_noise")
DIGITS = """\
suite: {name}
defaults: {{kind: zero-shot, classes: [zero, one, two, three, four, five, six, seven, eight, nine]}}
benchmarks:
  - name: {name}
    data: {{path: builtin:digits, split: {split}}}
    {more}
"""


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("MERGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A pretrained CLIP, and for every seed an expert and a plain average of both, as checkpoints."""
    import torch

    folder = tmp_path_factory.mktemp("medical")
    pretrained = make_clip(folder / "clip", seed=0, longest=120)
    for seed in SEEDS:
        expert = make_clip(folder / seed / "expert", seed=10 + int(seed), longest=120)
        average = make_clip(folder / seed / "average", longest=120)
        pairs = zip(average.parameters(), pretrained.parameters(), expert.parameters(), strict=True)
        with torch.no_grad():
            for target, one, two in pairs:
                target.copy_((one + two) / 2)
        average.save_pretrained(folder / seed / "average")
    return folder


def run(models, capsys, monkeypatch, *more, labels=("expert", "average")):
    import medical

    words = ["--pretrained", str(models / "clip"), "--device", "cpu"]
    for label in labels:
        words += ["--model", f"{label}={models}/{{seed}}/{label}"]
    monkeypatch.setattr(sys, "argv", ["medical.py", *words, *more])
    medical.main()
    return capsys.readouterr().out


def tables_of(text):
    """Return title ▸ rows of cells, headings first."""
    found = {}
    for title, block in re.findall(r"(?:### )?([^\n|]+)\n\n((?:\|[^\n]*\n?)+)", text):
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.splitlines()]
        found[title.rstrip(":")] = [lines[0], *lines[2:]]
    return found


def values(rows, seeds, model, metric):
    """Return the values of one metric of a model by seed and benchmark."""
    return {
        (seed, row["benchmark"]): row["value"]
        for seed in seeds
        for row in rows[seed]["results"]
        if Path(row["model"]).name == model and row["metric"] == metric
    }


@pytest.mark.slow
def test_the_protocol_on_generated_data(models, capsys, monkeypatch, tmp_path):
    write_all(tmp_path, monkeypatch)
    monkeypatch.setattr(
        medmnist_c,
        "CORRUPTIONS",
        {"retinamnist": TWO, "bloodmnist": ("bubble",), "breastmnist": TWO[:1], "octmnist": TWO[1:]},
    )
    text = run(models, capsys, monkeypatch, "--json", str(tmp_path / "rows.json"), labels=["expert"])
    rows = json.loads((tmp_path / "rows.json").read_text())
    tables = tables_of(text)
    in_domain = ["fundoscopy", "microscopy", "ultrasound", "oct"]
    novel = ["fundoscopy-novel", "microscopy-novel", "ultrasound-same-images", "oct-same-images"]

    for title, names in (("In-domain", in_domain), ("Other data sets of the same modality", novel)):
        for metric, words in KINDS.items():
            headings, *lines = tables[f"{title}: {words}"]
            assert headings == ["model", *names, "mean"]
            assert [line[0] for line in lines] == ["pretrained", "expert"]
            of_expert = values(rows, SEEDS, "expert", metric)
            for name, cell in zip(names, lines[1][1:], strict=False):
                assert cell.startswith(f"{100 * np.mean([of_expert[seed, name] for seed in SEEDS]):.1f} (")
    headings, *lines = tables["Under corruptions: mean corruption error"]
    assert headings == ["model", *in_domain, "mean"]
    assert lines[0][1:] == ["100.0 (100.0 to 100.0)"] * 5
    assert lines[1][1] == mean_corruption_error_by_hand(rows, "fundoscopy")
    differences = tables["In-domain, paired over seeds, points"]
    assert [line[0] for line in differences[1:]] == ["expert minus pretrained"]
    assert len({line[-1] for line in tables["In-domain: top-1 accuracy %"][1:]}) == 2  # the models differ


def mean_corruption_error_by_hand(rows, benchmark):
    """Return the cell of the expert, from accuracies alone."""
    from scipy.stats import t

    found = []
    for seed in SEEDS:
        ours, theirs = (values(rows, [seed], model, "accuracy") for model in ("expert", "clip"))
        sums = [
            [sum(1 - of[seed, f"{benchmark}/{name}/{severity}"] for severity in range(1, 6)) for of in (ours, theirs)]
            for name in TWO
        ]
        found.append(100 * np.mean([one / two for one, two in sums]))
    reach = t.ppf(0.975, 2) * np.std(found, ddof=1) / 3**0.5
    return f"{np.mean(found):.1f} ({np.mean(found) - reach:.1f} to {np.mean(found) + reach:.1f})"


@pytest.mark.slow
def test_corrupted_digits_of_one_seed(models, capsys, monkeypatch, tmp_path):
    corruptions = "corruptions: {names: [contrast, gaussian_noise], severities: all}"
    (tmp_path / "seen.yaml").write_text(DIGITS.format(name="seen", split="select", more=corruptions))
    (tmp_path / "unseen.yaml").write_text(DIGITS.format(name="unseen", split="report", more=""))
    specs = ["--in-domain", str(tmp_path / "seen.yaml"), "--novel", str(tmp_path / "unseen.yaml")]
    tables = tables_of(run(models, capsys, monkeypatch, "--seeds", "1", *specs))
    assert [line[0] for line in tables["Other data sets of the same modality: top-1 accuracy %"]][1:] == [
        *("pretrained", "expert", "average")
    ]
    assert tables["Under corruptions: mean corruption error"][1] == ["pretrained", "100.0", "100.0"]
    for line in tables["In-domain: top-1 accuracy %"][1:]:
        assert 0 <= float(line[1]) <= 100  # of one seed there is no interval


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "expert"], "'expert' is no model (write --model expert=runs/{seed}/expert)"),
        (["--model", "expert=b/{seed}"], "two models are called 'expert'"),
        (["--model", "pretrained=b/{seed}"], "two models are called 'pretrained'"),
        (["--model", "t3=b"], "'b' is the same for all seeds (put {seed} in it, or give one seed)"),
        (["--seeds", "1", "1"], "a seed is given twice"),
        (["--in-domain", "medicla"], "no such benchmark file (did you mean 'medical'?)"),
    ],
)
def test_wrong_requests(models, capsys, monkeypatch, more, message):
    with pytest.raises(SystemExit) as refusal:
        run(models, capsys, monkeypatch, *more)
    assert refusal.value.code == 2
    assert message in capsys.readouterr().err


def test_rows_of_a_bundle_are_named_after_it():
    from medical_protocol import label_of
    from medical_tables import difference_table

    names = {"clip": "pretrained", "runs/1/t3": "t3", "runs/1/t3-wide": "wide"}
    assert label_of("runs/1/t3", names) == "t3"
    assert label_of("runs/1/t3 (T3_B)", names) == "t3 (T3_B)"
    assert label_of("runs/1/t3-wide (DaWin)", names) == "wide (DaWin)"
    assert label_of("runs/1/t3 (constant 0.5412, the mean)", names) == "t3 (constant, the mean)"
    assert label_of("runs/1/t3 (constant 0.25)", names) == "t3 (constant 0.25)"
    assert label_of("ensemble(logits)", names) == "ensemble(logits)"
    scores = [{"pretrained": {"a": 0.5}, "t3": {"a": 0.6}, "t3 (constant)": {"a": 0.7}}]
    table = difference_table(scores, ["a"], "pretrained")
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [
        *("t3 minus pretrained", "t3 minus t3 (constant)")
    ]


def test_a_value_that_is_missing_leaves_its_means_out():
    from medical_tables import MISSING, score_table

    table = score_table([{"one": {"a": 0.5}, "two": {"a": 0.25, "b": 0.75}}], ["a", "b"])
    assert [line.split("|")[2:5] for line in table.replace(" ", "").splitlines()[2:]] == [
        ["50.0", MISSING, MISSING],
        ["25.0", "75.0", "50.0"],
    ]
