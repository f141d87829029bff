"""Tasks of lm-evaluation-harness: the same numbers as its own command line, and as plain loops."""

from __future__ import annotations

import json

import numpy as np
import pytest
from harness_case import DOCUMENTS, by_hand, choices_by_hand, rows
from tiny_language_models import make_gpt2, make_llama, make_t5, make_tokenizer, save

from merge.errors import UsageError
from merge.evaluation import evaluate
from merge.evaluation.specification import read_benchmark, read_benchmarks


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
