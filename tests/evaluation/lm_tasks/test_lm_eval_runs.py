"""Runs of lm-evaluation-harness: files beside the report, cut contexts, progress, and nothing else touched."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
import torch
from harness_case import DOCUMENTS
from tiny_language_models import make_llama, make_t5, make_tokenizer, save

from merge.errors import MergeError
from merge.evaluation import evaluate
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings


@pytest.mark.slow
def test_files_of_the_harness_stand_beside_the_report(llama, spec, tmp_path, own_results):
    for _ in range(2):  # the files of a former report do not stay
        evaluate([str(llama)], [spec(more="num_fewshot: 2\nlimit: 20\n")], report=tmp_path / "report")
    results = sorted((tmp_path / "report" / "lm-eval").glob("*/results_*.json"))
    samples = sorted((tmp_path / "report" / "lm-eval").glob("*/samples_animals_*.jsonl"))
    assert (len(results), len(samples)) == (1, 1)
    ours = json.loads(results[0].read_text())
    assert set(own_results) - {"groups"} == set(ours)  # there are groups only where some were asked for
    assert ours["results"]["animals"] == pytest.approx(own_results["results"]["animals"])
    assert ours["task_hashes"]["animals"] == own_results["task_hashes"]["animals"]
    assert ours["model_name"] == str(llama)
    lines = [json.loads(line) for line in samples[0].read_text().splitlines()]
    assert sum(line["acc"] for line in lines) / 20 == ours["results"]["animals"]["acc,none"]


@pytest.mark.parametrize(
    ("task", "make", "takes"),
    [  # room for the same 14 tokens: beside an answer of 6, whose last one is no input; beside 6 written ones; alone
        ("animals", make_llama, 14 + 6 - 1),
        ("answers", make_llama, 14 + 6),
        ("animals", lambda **changes: make_t5(), 14),
        ("answers", lambda **changes: make_t5(), 14),
    ],
)
def test_contexts_that_are_cut_are_counted(spec, tmp_path, task, make, takes):
    tokenizer = make_tokenizer(eos_token="</s>", pad_token="<pad>")
    tokenizer.model_max_length = takes
    folder = save(make(max_position_embeddings=takes), tmp_path / "model", tokenizer)
    assert len(tokenizer(" cat dog cat").input_ids) == 6
    cut = sum(len(tokenizer(document["question"]).input_ids) > 14 for document in DOCUMENTS)
    assert 0 < cut < len(DOCUMENTS)
    told = f"too long for the {takes} tokens that the model takes with the answer, and cut at the left"
    assert f"zoo, {folder}: {cut} contexts were {told}" in evaluate([str(folder)], [spec(task)]).notes


def test_contexts_that_fit_are_not_mentioned(llama, spec):
    notes = evaluate([str(llama)], [spec("[animals, rolling, answers]")]).notes
    assert not any("contexts" in note for note in notes)


def test_names_of_models_never_leave_the_report(spec, tmp_path, monkeypatch):
    save(make_llama(max_position_embeddings=64), tmp_path / "model")
    (tmp_path / "model" / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "model" / "inside")
    evaluate([".."], [spec()], report=tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "lm-eval",
        "report.html",
        "report.md",
        "results.json",
    ]


@pytest.mark.parametrize("failure", [MergeError("no"), KeyboardInterrupt()])
def test_nothing_is_written_before_all_models_are_done(llama, spec, tmp_path, monkeypatch, failure):
    from merge.evaluation.language import harness_run

    evaluate_one, calls = harness_run._evaluate, []

    def fail_at_the_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise failure
        return evaluate_one(*arguments)

    monkeypatch.setattr(harness_run, "_evaluate", fail_at_the_second)
    other = save(make_llama(seed=4, max_position_embeddings=64), tmp_path / "other")
    with pytest.raises(type(failure)):
        evaluate([str(llama), str(other)], [spec(more="limit: 2\n")], report=tmp_path / "report")
    assert len(calls) == 2
    assert not (tmp_path / "report").exists()


def test_long_names_of_models_and_tasks(tasks, tmp_path):
    folder = tmp_path / ("d" * 120) / ("e" * 120)
    save(make_llama(max_position_embeddings=64), folder)
    (tmp_path / "tasks").mkdir()
    text = (tasks / "tasks" / "animals.yaml").read_text()
    (tmp_path / "tasks" / "long.yaml").write_text(text.replace("task: animals", f"task: {'t' * 300}"))
    benchmark = f"kind: lm-eval\ntasks: {'t' * 300}\ninclude_path: tasks\nlimit: 2\n"
    (tmp_path / "bench.yaml").write_text(benchmark)
    evaluate([str(folder)], [str(tmp_path / "bench.yaml")], report=tmp_path / "report")
    assert len(list((tmp_path / "report" / "lm-eval").glob("*/samples_ttt*.jsonl"))) == 1


def test_nothing_is_printed_and_random_states_are_left_alone(llama, spec, capfd):
    evaluate([str(llama)], [spec()])  # what libraries say when they are first imported is theirs
    capfd.readouterr()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    evaluate([str(llama)], [spec()])
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected
    assert capfd.readouterr() == ("", "")


def test_progress_is_in_documents(llama, spec):
    from merge.evaluation.locate import locate

    seen = []
    task = read_benchmark(spec(more="limit: 7\n")).prepare(Settings(advance=seen.append))
    task.evaluate(locate(str(llama)).load())
    assert (task.n, sum(seen)) == (7, 7)
    assert len([step for step in seen if step]) > 2


def test_items_are_known_by_their_documents(spec):
    few, all_ = (read_benchmark(spec(more=more)).prepare(Settings()).item_digests() for more in ("limit: 5\n", ""))
    other = read_benchmark(spec("beasts")).prepare(Settings()).item_digests()
    assert (len(few), len(all_), few < all_, other == all_) == (5, 24, True, True)


def test_batches_shrink_for_long_texts_and_large_vocabularies():
    from merge.evaluation.language.network import LOGITS_BYTES, LanguageModel

    model = LanguageModel(make_llama(), make_tokenizer(), "causal", "llama", "cpu", "float32")
    assert model.rows(10, 256) == 256
    assert model.rows(LOGITS_BYTES, 256) == 1
    assert math.isclose(model.rows(10**6, 256), LOGITS_BYTES // (4 * 10**6 * model.vocabulary))
