"""Tasks of lm-evaluation-harness: the same numbers as its own command line, its files, and refusals."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_language_models import bert_tokenizer, make_bert, make_gpt2, make_llama, make_t5, make_tokenizer, save

from merge.errors import MergeError, UsageError
from merge.evaluation import evaluate
from merge.evaluation.specification import read_benchmark, read_benchmarks
from merge.evaluation.task import Settings

DOCUMENTS = [{"question": f"is a {'cat' if n % 3 else 'dog'} a dog, {n}?", "label": n % 2} for n in range(24)]
CHOICE = """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["yes", "no", "cat dog cat"]
doc_to_target: label
metric_list: [{metric: acc}, {metric: acc_norm}]
fewshot_split: test
"""
ROLLING = """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
"""
GENERATION = """
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{['yes', 'no'][label]}}"
generation_kwargs: {until: ["?"], max_gen_toks: 6}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - {name: word, filter: [{function: regex, regex_pattern: "(yes|no)"}, {function: take_first}]}
  - {name: whole, filter: [{function: take_first}]}
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder of task files over one file of documents; the data library keeps its cache beside them."""
    folder = tmp_path_factory.mktemp("harness")
    (folder / "documents.jsonl").write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    (folder / "tasks").mkdir()
    files = json.dumps({"test": str(folder / "documents.jsonl")})
    data = f"dataset_path: json\ndataset_kwargs: {{data_files: {files}}}\ntest_split: test\n"
    bodies = {"animals": CHOICE, "beasts": CHOICE, "birds": CHOICE, "rolling": ROLLING, "answers": GENERATION}
    bodies["correlated"] = CHOICE.replace("{metric: acc}, {metric: acc_norm}", "{metric: mcc}")
    bodies["code"] = GENERATION + "unsafe_code: true\n"
    bodies["broken"] = CHOICE.replace("{{question}}", "{{question")
    for name, body in bodies.items():
        (folder / "tasks" / f"{name}.yaml").write_text(f"task: {name}\n{data}{body}")
    (folder / "tasks" / "remote.yaml").write_text(f"task: remote\ndataset_path: org/absent\ntest_split: test{CHOICE}")
    group = "group: {}\ntask: [beasts, birds]\n"
    (folder / "tasks" / "bare.yaml").write_text(group.format("bare"))
    total = "aggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    (folder / "tasks" / "total.yaml").write_text(group.format("total") + total)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tasks, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tasks / "cache")


@pytest.fixture(scope="module")
def llama(tasks):
    return save(make_llama(max_position_embeddings=64), tasks / "llama")


@pytest.fixture
def spec(tasks, tmp_path):
    def write(names="animals", more=""):
        path = tmp_path / "bench.yaml"
        path.write_text(f"name: zoo\nkind: lm-eval\ntasks: {names}\ninclude_path: {tasks}/tasks\n{more}")
        return str(path)

    return write


def rows(evaluation, model=None):
    return {row["metric"]: row for row in evaluation.results if model is None or row["model"] == str(model)}


@pytest.fixture(scope="module")
def own_results(tasks, llama):
    """What ``lm_eval`` finds as a program of its own; it takes long to list all of its tasks."""
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={llama}"]
    command += ["--tasks", "animals,answers,total", "--include_path", str(tasks / "tasks"), "--device", "cpu"]
    command += ["--output_path", str(tasks / "own"), "--log_samples", "--seed", "0", "--batch_size", "3"]
    command += ["--num_fewshot", "2", "--limit", "20"]
    environment = os.environ | {"HF_HOME": str(tasks / "cache"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=tasks)
    return json.loads(next((tasks / "own").glob("*/results_*.json")).read_text())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["animals", "answers", "total"])
def test_same_numbers_as_the_command_line_of_the_harness(own_results, llama, spec, task):
    found = rows(evaluate([str(llama)], [spec(task, "num_fewshot: 2\nlimit: 20\n")]))
    names = {"acc,none": "accuracy", "acc_norm,none": "acc_norm"}
    names |= {"exact_match,word": "exact_match", "exact_match,whole": "exact_match,whole"}
    own = {names[name]: number for name, number in own_results["results"][task].items() if name in names}
    assert own == {metric: pytest.approx(row["value"]) for metric, row in found.items()}
    assert own


def test_rows_items_and_intervals_of_a_choice(llama, spec):
    from scipy.stats import binomtest

    (benchmark,) = read_benchmarks([spec()])
    found = rows(evaluate([str(llama)], [spec()]))
    assert list(found) == ["accuracy", "acc_norm"]
    assert found["accuracy"]["benchmark"] == "zoo" == benchmark.name
    right, n = round(found["accuracy"]["value"] * 24), found["accuracy"]["n"]
    interval = binomtest(right, 24).proportion_ci(method="wilson")
    assert (n, found["accuracy"]["interval"]) == (24, pytest.approx([interval.low, interval.high]))


@pytest.mark.slow
def test_numbers_that_are_no_means_have_bootstrap_intervals_and_pair_by_right_answers(llama, spec, tmp_path):
    from sklearn.metrics import matthews_corrcoef

    other = save(make_llama(seed=4, max_position_embeddings=64), tmp_path / "other")
    evaluation = evaluate([str(llama), str(other)], [spec("correlated")])
    found = rows(evaluation, llama)
    assert list(found) == ["mcc"]
    answers = choices_by_hand(llama)
    labels = [document["label"] for document in DOCUMENTS]
    assert found["mcc"]["value"] == pytest.approx(matthews_corrcoef(labels, answers))
    assert found["mcc"]["interval"][0] < found["mcc"]["value"] < found["mcc"]["interval"][1]
    (comparison,) = evaluation.comparisons
    assert (comparison["metric"], comparison["test"]) == ("accuracy", "exact McNemar")


def test_a_formula_without_a_value_for_some_resamples_has_the_interval_of_the_harness_or_none():
    import warnings
    from types import SimpleNamespace

    from merge.evaluation.language.harness_outcome import _measure

    def ratio(drawn):
        return np.float64(sum(drawn)) / np.float64(sum(value == 2 for value in drawn))

    task = SimpleNamespace(leaves={"a": SimpleNamespace(aggregation=lambda: {"ratio": ratio})}, n=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        without = _measure("ratio", ("ratio", "none"), {"ratio,none": 4.0}, [0, 2, 2], task, 0)
        numbers = {"ratio,none": 4.0, "ratio_stderr,none": 1.0}
        found = _measure("ratio", ("ratio", "none"), numbers, [0, 2, 2], task, 0)
    assert without is None
    assert (found.low, found.high) == pytest.approx((4 - 1.959964, 4 + 1.959964))


def by_hand(folder):
    return np.array(choices_by_hand(folder)) == [document["label"] for document in DOCUMENTS]


def choices_by_hand(folder):
    """What is chosen for every document, by a plain loop over transformers: the sum of log-probabilities decides."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    chosen = []
    for document in DOCUMENTS:
        scores = []
        question = tokenizer(document["question"]).input_ids
        for choice in (" yes", " no", " cat dog cat"):
            answer = tokenizer(choice).input_ids
            with torch.no_grad():
                logits = model(torch.tensor([question + answer])).logits[0].log_softmax(-1)
            scores.append(sum(logits[len(question) - 1 + place, token] for place, token in enumerate(answer)))
        chosen.append(int(torch.stack(scores).argmax()))
    return chosen


def test_pairs_are_tested_document_by_document(llama, spec, tmp_path):
    other = save(make_llama(seed=4, max_position_embeddings=64), tmp_path / "other", make_tokenizer(eos_token="</s>"))
    one, two = by_hand(llama), by_hand(other)
    assert (one != two).any()
    (comparison,) = evaluate([str(llama), str(other)], [spec()]).comparisons
    assert (comparison["n"], comparison["test"]) == (24, "exact McNemar")
    assert comparison["only_model_right"] == int((two & ~one).sum())
    assert comparison["only_reference_right"] == int((one & ~two).sum())


def test_tied_weights_and_models_that_answer_to_a_text(spec, tmp_path):
    gpt2 = save(make_gpt2(), tmp_path / "gpt2", make_tokenizer(eos_token="</s>"))
    found = rows(evaluate([str(gpt2)], [spec()]))
    assert found["accuracy"]["value"] == by_hand(gpt2).mean()
    t5 = save(make_t5(), tmp_path / "t5")
    assert rows(evaluate([str(t5)], [spec()]))["accuracy"]["n"] == 24
    assert rows(evaluate([str(t5)], [spec("answers")]))["exact_match"]["n"] == 24


def test_rolling_likelihood_is_ours_too(llama, spec, tmp_path):
    found = rows(evaluate([str(llama)], [spec("rolling")]))
    lines = "".join(json.dumps({"text": document["question"]}) + "\n" for document in DOCUMENTS)
    (tmp_path / "text.jsonl").write_text(lines)
    (tmp_path / "own.yaml").write_text("kind: perplexity\ndata: {path: text.jsonl}\n")
    ours = rows(evaluate([str(llama)], [str(tmp_path / "own.yaml")]))
    assert found["bits_per_byte"]["value"] == pytest.approx(ours["bits_per_byte"]["value"], rel=1e-5)
    assert found["bits_per_byte"]["interval"] == pytest.approx(ours["bits_per_byte"]["interval"], rel=0.05)
    assert list(found) == ["word_perplexity", "bits_per_byte"]


def test_several_tasks_are_several_benchmarks(llama, spec):
    evaluation = evaluate([str(llama)], [spec("[animals, beasts]", "metric: acc_norm\n")])
    first = [row for row in evaluation.results if row["metric"] == "acc_norm"]
    assert [row["benchmark"] for row in first] == ["zoo/animals", "zoo/beasts"]
    assert evaluation.results[0]["metric"] == "acc_norm"
    with pytest.raises(UsageError, match="a suite of 2 benchmarks"):
        read_benchmark(spec("[animals, beasts]"))


def test_a_group_has_its_own_number(llama, spec):
    found = rows(evaluate([str(llama)], [spec("total")]))
    assert (found["accuracy"]["n"], list(found)) == (48, ["accuracy"])
    assert found["accuracy"]["value"] == pytest.approx(by_hand(llama).mean())


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


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        ("[]", "", "'tasks' is an empty list"),
        ("[5]", "", "a task must be a name, not 5"),
        ("5", "", "a task must be a name, not 5"),
        ("animals", "limit: 0\n", "'limit' must be"),
        ("animals", "limit: 1.5\n", "'limit' must be"),
        ("animals", "num_fewshot: -1\n", "'num_fewshot' must be a whole number from 0"),
        ("animals", "include_paths: x\n", "did you mean 'include_path'?"),
        ("bare", "", "'bare' stands for 2 tasks and has no number of its own (list them: beasts, birds)"),
        ("animals", "limit: 1\n", "1 documents are too few"),
    ],
)
def test_wrong_benchmarks(spec, names, more, message):
    with pytest.raises(UsageError) as refusal:
        read_benchmark(spec(names, more)).prepare(Settings())
    assert message in str(refusal.value)


def test_unknown_tasks_are_found_before_any_is_run(spec, tasks, tmp_path, monkeypatch):
    from merge.evaluation.language import harness_tasks

    own = harness_tasks._manager(tasks / "tasks", False)
    monkeypatch.setattr(harness_tasks, "_manager", lambda path, defaults: own)  # the whole set takes 10 s to list
    first = read_benchmarks([spec("[animals, beests]")])[0]
    with pytest.raises(UsageError, match=r"no task 'beests' \(did you mean 'beasts'\?\)"):
        first.prepare(Settings())
    (tmp_path / "bench.yaml").write_text("kind: lm-eval\ntasks: animals\ninclude_path: absent\n")
    with pytest.raises(UsageError, match=r"bench.yaml:3:1: no such folder of task files: absent"):
        read_benchmarks([str(tmp_path / "bench.yaml")])


def test_tasks_that_cannot_be_run(llama, spec, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(MergeError, match="'code' runs code that the model writes"):
        evaluate([str(llama)], [spec("code")])
    with pytest.raises(MergeError, match="'broken' cannot be loaded"):
        evaluate([str(llama)], [spec("broken")])
    with pytest.raises(MergeError, match=r"'remote' cannot be loaded: .*org/absent.*HF_HOME says where the cache is"):
        evaluate([str(llama)], [spec("remote")])
    with pytest.raises(UsageError, match=r"has no metric 'acc_nrm' \(did you mean 'acc_norm'\?\)"):
        evaluate([str(llama)], [spec(more="metric: acc_nrm\n")])
    bert = save(make_bert(), tmp_path / "bert", bert_tokenizer())
    with pytest.raises(MergeError, match="BertForMaskedLM fills in masks"):
        evaluate([str(bert)], [spec()])
    short = save(make_llama(max_position_embeddings=64), tmp_path / "mute", make_tokenizer(pad_token="<pad>"))
    with pytest.raises(MergeError, match="neither a first nor a last token"):
        evaluate([str(short)], [spec()])


def test_a_missing_harness_is_one_line(spec, monkeypatch):
    from merge.evaluation.language import quiet_harness

    monkeypatch.setattr(quiet_harness, "find_spec", lambda name: None if name == "lm_eval" else object())
    with pytest.raises(MergeError, match=r"needs the package lm_eval \(pip install 'merge-checkpoints\[lm\]'\)"):
        read_benchmark(spec())


def test_batches_shrink_for_long_texts_and_large_vocabularies():
    from merge.evaluation.language.network import LOGITS_BYTES, LanguageModel

    model = LanguageModel(make_llama(), make_tokenizer(), "causal", "llama", "cpu", "float32")
    assert model.rows(10, 256) == 256
    assert model.rows(LOGITS_BYTES, 256) == 1
    assert math.isclose(model.rows(10**6, 256), LOGITS_BYTES // (4 * 10**6 * model.vocabulary))
