"""Tasks of lm-evaluation-harness that are wrong, unknown, or cannot be run."""

from __future__ import annotations

import pytest
from tiny_language_models import bert_tokenizer, make_bert, make_llama, make_tokenizer, save

from merge.errors import MergeError, UsageError
from merge.evaluation import evaluate
from merge.evaluation.specification import read_benchmark, read_benchmarks
from merge.evaluation.task import Settings


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
