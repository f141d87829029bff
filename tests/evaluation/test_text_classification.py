"""Classifiers of texts, against transformers' own pipeline, and under fixed heads."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_language_models import (
    SPECIAL,
    bert_tokenizer,
    make_bert,
    make_gpt2,
    make_llama,
    make_t5,
    make_tokenizer,
    save,
    vocabulary_size,
)

from merge.errors import MergeError, UsageError
from merge.evaluation import evaluate
from merge.evaluation.language.filler import Filler
from merge.evaluation.specification import read_benchmark, read_benchmarks
from merge.evaluation.task import Settings

TEXTS = ["a cat", "no dog, no cat!", "is it a dog?", "é", "three cats and 5 dogs", "yes", "no no no no"]
PAIRS = ["no", "yes", "a cat", "ok", "dog", "was it? no", "cat"]
LABELS = [0, 1, 2, 0, 1, 2, 0]
CLASSES = {"id2label": {0: "zero", 1: "one", 2: "two"}, "label2id": {"zero": 0, "one": 1, "two": 2}}


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A GPT-2 classifier whose tokenizer has nothing to pad with, like the original one."""
    folder = tmp_path_factory.mktemp("models") / "gpt2"
    return save(make_gpt2("GPT2ForSequenceClassification", **CLASSES), folder, make_tokenizer(eos_token="</s>"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bert"
    return save(make_bert("BertForSequenceClassification", **CLASSES), folder, bert_tokenizer())


@pytest.fixture
def spec(tmp_path):
    """Write ``bench.yaml`` and ``data.jsonl``; ``columns`` go into the rows."""

    def write(more="", data="{path: data.jsonl, text: sentence, labels: label}", **columns):
        columns = {"sentence": TEXTS, "second": PAIRS, "label": LABELS} | columns
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "bench.yaml").write_text(f"name: texts\nkind: classification\ndata: {data}\n{more}")
        return str(tmp_path / "bench.yaml")

    return write


def rows(evaluation, metric, model=None):
    return [row for row in evaluation.results if row["metric"] == metric and model in (None, row["model"])]


def pipeline_probabilities(folder, pairs=None):
    """What transformers' own pipeline gives, one text at a time [n, classes]."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(folder), device="cpu", top_k=None, function_to_apply="softmax")
    inputs = TEXTS if pairs is None else [{"text": a, "text_pair": b} for a, b in zip(TEXTS, pairs, strict=True)]
    found = []
    for one in inputs:
        scores = classify(one)
        scores = scores[0] if isinstance(scores[0], list) else scores
        by_class = {CLASSES["label2id"][score["label"]]: score["score"] for score in scores}
        found.append([by_class[number] for number in range(3)])
    return np.array(found)


@pytest.mark.parametrize("name", ["gpt2", "bert"])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_agrees_with_the_pipeline_of_transformers(request, spec, name, paired, batch_size):
    folder = request.getfixturevalue(name)
    probabilities = pipeline_probabilities(folder, PAIRS if paired else None)
    data = "{path: data.jsonl, text: sentence, text_pair: second, labels: label}"
    benchmark = spec(data=data) if paired else spec()
    evaluation = evaluate([str(folder)], [benchmark], batch_size=batch_size)
    expected = (probabilities.argmax(1) == LABELS).mean()
    assert [row["value"] for row in rows(evaluation, "accuracy")] == [expected]
    loss = -np.log(probabilities[np.arange(len(LABELS)), LABELS]).mean()
    assert rows(evaluation, "loss")[0]["value"] == pytest.approx(loss, rel=1e-5)
    assert {row["head"] for row in evaluation.results} == {"own"}


def test_a_fixed_head_over_the_last_token_is_the_head_that_the_model_had(gpt2, spec, tmp_path):
    tensors = load_file(gpt2 / "model.safetensors")
    save_file({"task": tensors["score.weight"].clone()}, tmp_path / "heads.safetensors")
    own = rows(evaluate([str(gpt2)], [spec()]), "loss")[0]["value"]
    fixed = spec("head: heads.safetensors#task\n")
    # The backbone alone, under all three names that its tensors go by; the classes that a merge left are not used.
    backbone = {name: tensor for name, tensor in tensors.items() if name != "score.weight"}
    bare = {name.removeprefix("transformer."): tensor for name, tensor in backbone.items()}
    spoilt = tensors | {"score.weight": torch.zeros_like(tensors["score.weight"])}
    for name, content in {"backbone": backbone, "bare": bare, "spoilt": spoilt}.items():
        save_file(content, tmp_path / f"{name}.st")
        evaluation = evaluate([str(tmp_path / f"{name}.st")], [fixed], model=str(gpt2), batch_size=3)
        assert rows(evaluation, "loss")[0]["value"] == pytest.approx(own, rel=1e-6)
        assert rows(evaluation, "loss")[0]["head"] == "heads.safetensors#task"


def test_a_fixed_head_over_the_pooled_output(bert, spec, tmp_path):
    tensors = load_file(bert / "model.safetensors")
    head = {"task": tensors["classifier.weight"].clone(), "task.bias": tensors["classifier.bias"].clone()}
    save_file(head, tmp_path / "heads.safetensors")
    own = rows(evaluate([str(bert)], [spec()]), "loss")[0]["value"]
    fixed = rows(evaluate([str(bert)], [spec("head: heads.safetensors#task\n")]), "loss")[0]["value"]
    assert fixed == pytest.approx(own, rel=1e-6)


def test_a_head_of_a_model_on_the_hub(gpt2, spec, monkeypatch):
    from merge.evaluation.language import text_head

    asked = []
    monkeypatch.setattr(text_head, "fetch", lambda name: asked.append(name) or gpt2)
    benchmark = spec('head: "hub:org/gpt2_task@abc#score.weight"\n')
    assert not asked  # nothing is fetched while the file is read
    evaluation = evaluate([str(gpt2)], [benchmark])
    assert asked == ["org/gpt2_task@abc"]
    own = rows(evaluate([str(gpt2)], [spec()]), "loss")[0]["value"]
    assert rows(evaluation, "loss")[0]["value"] == pytest.approx(own, rel=1e-6)


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "saved", "ndjson"])
def test_forms_of_data_are_the_same_rows(bert, spec, tmp_path, form, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    expected = evaluate([str(bert)], [spec()])
    table = datasets.Dataset.from_dict({"sentence": TEXTS, "second": PAIRS, "label": LABELS})
    path = tmp_path / ("table" if form == "saved" else f"table.{form}")
    writers = {
        "csv": lambda: table.to_csv(path),
        "tsv": lambda: table.to_csv(path, sep="\t"),
        "parquet": lambda: table.to_parquet(path),
        "saved": lambda: table.save_to_disk(path),
        "ndjson": lambda: table.to_json(path),
    }
    writers[form]()
    found = evaluate([str(bert)], [spec(data=f"{{path: {path.name}, text: sentence}}")])
    assert [row["value"] for row in found.results] == [row["value"] for row in expected.results]


def test_models_are_paired_text_by_text_and_can_form_an_ensemble(bert, gpt2, spec):
    evaluation = evaluate([str(bert), str(gpt2)], [spec()], ensemble="probs")
    one, two = pipeline_probabilities(bert), pipeline_probabilities(gpt2)
    right, other = one.argmax(1) == LABELS, two.argmax(1) == LABELS
    assert evaluation.comparisons[0]["only_model_right"] == int((other & ~right).sum())
    assert evaluation.comparisons[0]["only_reference_right"] == int((right & ~other).sum())
    expected = ((one + two).argmax(1) == LABELS).mean()
    assert rows(evaluation, "accuracy", "ensemble(probs)")[0]["value"] == expected


def test_long_texts_are_cut_and_counted(bert, spec):
    long = ["cat " * 40, *TEXTS[1:]]
    evaluation = evaluate([str(bert)], [spec(sentence=long)])
    assert evaluation.notes == [f"texts, {bert}: 1 texts were cut to the 24 tokens that the model takes"]
    cut = evaluate([str(bert)], [spec(sentence=["cat " * 11, *TEXTS[1:]])])
    assert cut.notes == []
    assert rows(cut, "loss")[0]["value"] == rows(evaluation, "loss")[0]["value"]


def test_bfloat16_is_near_float32(bert, spec):
    losses = [rows(evaluate([str(bert)], [spec()], precision=each), "loss")[0] for each in ("float32", "bfloat16")]
    assert losses[0]["value"] != losses[1]["value"] == pytest.approx(losses[0]["value"], rel=0.05)


def test_items_are_known_by_their_texts(spec):
    first = read_benchmark(spec()).prepare(Settings()).item_digests()
    changed = read_benchmark(spec(sentence=["new", *TEXTS[1:]], label=[1] * 7)).prepare(Settings()).item_digests()
    assert (len(first), len(first & changed)) == (7, 6)


@pytest.mark.parametrize(
    ("more", "data", "columns", "message"),
    [
        ("", "{path: data.jsonl, text: sentense}", {}, "did you mean 'sentence'?"),
        ("", "{path: data.jsonl, text: sentence, labels: lable}", {}, "did you mean 'label'?"),
        ("", "{path: data.jsonl, text: sentence, txt_pair: second}", {}, "did you mean 'text_pair'?"),
        ("", "{path: data.jsonl, text: sentence, split: test}", {}, "'split' means nothing for a file of lines"),
        ("", "{path: data.jsonl, text: label}", {}, "row 0 has no text under 'label', but 0"),
        ("", "{path: absent.jsonl, text: sentence}", {}, "no such data file: absent.jsonl"),
        ("", "{path: 'builtin:digits', text: sentence}", {}, "'builtin:digits' holds no table of texts"),
        ("", None, {"label": [-1] * 7}, "a label is -1"),
        ("", None, {"label": ["good", "bad"] + ["good"] * 5}, "class numbers from 0 are expected"),
        ("", None, {"label": [0, [1], 0, 1, 0, 1, 0]}, "labels are not all of one kind"),
        ("", None, {"label": ["1", [1], 0, 1, 0, 1, 0]}, "labels are not all of one kind"),
        ("", None, {"sentence": [None, *TEXTS[1:]]}, "row 0 has no text under 'sentence', but None"),
        ("", None, {"sentence": ["a"], "second": ["b"], "label": [0]}, "1 texts are too few"),
        ("", None, {"sentence": [], "second": [], "label": []}, "has no rows"),
        ("logit_scale: 2\n", None, {}, "unknown key 'logit_scale'"),
        ("head: heads.safetensors#a\n", None, {}, "no such head file"),
        ('head: "hub:gpt2#a"\n', None, {}, "names no tensor of a model"),
        ('head: "hub:org/gpt2"\n', None, {}, "names no tensor of a model"),
    ],
)
def test_wrong_benchmarks(spec, more, data, columns, message):
    benchmark = spec(more, **({} if data is None else {"data": data}), **columns)
    with pytest.raises(UsageError) as refusal:
        read_benchmark(benchmark).prepare(Settings())
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(benchmark)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.jsonl", "{", "line 1 is not JSON"),
        ("data.jsonl", "[]", "line 1 is no JSON object"),
        ("data.csv", "sentence,label\na,0,5\n", "row 1 has not 2 cells"),
        ("data.csv", "sentence,label\na\n", "row 1 has not 2 cells"),
        ("data.csv", 'sentence,label\n"a,0\n', "data.csv, line 2: unexpected end of data"),
        ("data.csv", 'sentence,label\n"a\nb",0\n"c"d,1\n', "data.csv, line 4: "),
        ("data.jsonl", "[" * 100_000, "data.jsonl, line 1 is no JSON that can be read: nested too deeply"),
        ("data.csv", b"sentence,label\n\xff,0\n", "cannot read data.csv"),
    ],
)
def test_broken_files(spec, tmp_path, name, content, message):
    benchmark = spec(data=f"{{path: {name}, text: sentence}}")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=message):
        read_benchmark(benchmark).prepare(Settings())


def test_cells_are_of_any_size_and_keep_their_line_ends(spec, tmp_path):
    import csv

    benchmark, limit = spec(data="{path: data.csv, text: sentence}"), csv.field_size_limit()
    texts = ["a" * 200_000, "two\r\nlines", "and\nthree\n"]
    with (tmp_path / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["sentence", "label"], *([text, 0] for text in texts)])
    assert read_benchmark(benchmark).prepare(Settings()).data.texts == texts
    assert csv.field_size_limit() == limit


def test_models_that_do_not_fit(spec, bert, gpt2, tmp_path):
    with pytest.raises(MergeError, match=r"the label 5, the model has 3 classes \(0 to 2\)"):
        evaluate([str(bert)], [spec(label=[5, *LABELS[1:]])])
    llama = save(make_llama(), tmp_path / "llama")
    with pytest.raises(UsageError, match="LlamaForCausalLM has no classification head for texts"):
        evaluate([str(llama)], [spec()])
    save_file({"task": torch.zeros(3, 5)}, tmp_path / "heads.safetensors")
    with pytest.raises(MergeError, match="the head takes 5 features, the model gives 8"):
        evaluate([str(gpt2)], [spec("head: heads.safetensors#task\n")])
    with pytest.raises(MergeError, match="T5ForConditionalGeneration gives no features"):
        evaluate([str(save(make_t5(), tmp_path / "t5"))], [spec("head: heads.safetensors#task\n")])
    small = save(make_gpt2("GPT2ForSequenceClassification", **CLASSES), tmp_path / "small", make_tokenizer())
    with pytest.raises(MergeError, match="row 0 has no token for this model: ''"):
        evaluate([str(small)], [spec(sentence=["", *TEXTS[1:]])])


def test_a_tokenizer_without_any_filling_token(gpt2, spec, tmp_path):
    model = make_gpt2("GPT2ForSequenceClassification", **CLASSES)
    folder = save(model, tmp_path / "bare", make_tokenizer(mask_token="[MASK]"))
    losses = [rows(evaluate([str(each)], [spec()]), "loss")[0]["value"] for each in (gpt2, folder)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("roles", [{"eos_token": "</s>"}, {"eos_token": "</s>", "pad_token": "</s>"}])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_texts_that_end_with_the_last_token_are_read_at_that_token(spec, tmp_path, roles, batch_size):
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = make_tokenizer(**roles)
    ending = TemplateProcessing("$A </s>", "$A </s> $B:1 </s>:1", [("</s>", SPECIAL.index("</s>"))])
    tokenizer.backend_tokenizer.post_processor = ending
    folder = save(make_gpt2("GPT2ForSequenceClassification", **CLASSES), tmp_path / "ending", tokenizer)
    plain, tokens = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert tokens("cat").input_ids[-1] == tokens.eos_token_id
    with torch.no_grad():
        by_hand = torch.cat([plain(**tokens(text, return_tensors="pt")).logits for text in TEXTS])
    expected = torch.nn.functional.cross_entropy(by_hand, torch.tensor(LABELS)).item()
    chances = pipeline_probabilities(folder)
    assert -np.log(chances[np.arange(len(LABELS)), LABELS]).mean() == pytest.approx(expected, rel=1e-5)
    found = rows(evaluate([str(folder)], [spec()], batch_size=batch_size), "loss")[0]["value"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_filling_token_is_in_no_text():
    model = make_gpt2("GPT2ForSequenceClassification", **CLASSES)
    filler = Filler(model)
    filler.choose([[0, 1, 3], [2, 5]])
    assert (filler.token, model.config.pad_token_id) == (4, 4)
    filler.choose([range(vocabulary_size())])
    assert filler.token is None
    own = Filler(make_gpt2("GPT2ForSequenceClassification", pad_token_id=2, **CLASSES))
    own.choose([[0, 1, 2]])
    assert own.token == 2


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertModel"])
def test_a_backbone_without_a_pooler_gives_its_first_token(spec, tmp_path, architecture):
    from transformers import AutoTokenizer, BertModel

    model = make_bert(architecture)
    if architecture == "BertModel":
        model.pooler = None
    folder = save(model, tmp_path / "masked", bert_tokenizer())
    head = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    save_file({"task": head}, tmp_path / "heads.safetensors")
    plain = BertModel.from_pretrained(folder, add_pooling_layer=False)
    tokens = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        states = [plain(**tokens(text, return_tensors="pt")).last_hidden_state[:, 0] for text in TEXTS]
    expected = torch.nn.functional.cross_entropy(torch.cat(states) @ head.T, torch.tensor(LABELS)).item()
    found = rows(evaluate([str(folder)], [spec("head: heads.safetensors#task\n")]), "loss")[0]["value"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_half_a_pooler_is_refused(bert, spec, tmp_path):
    tensors = load_file(bert / "model.safetensors")
    del tensors["bert.pooler.dense.bias"]
    save_file(tensors, tmp_path / "half.st")
    save_file({"task": torch.zeros(3, 8)}, tmp_path / "heads.safetensors")
    with pytest.raises(MergeError, match=r"1 missing: pooler\.dense\.bias"):
        evaluate([str(tmp_path / "half.st")], [spec("head: heads.safetensors#task\n")], model=str(bert))


@pytest.mark.parametrize(("suite", "count"), [("glue-gpt2", 7), ("glue-flan-t5", 7), ("lm", 11)])
def test_suites_parse_without_the_network(suite, count, monkeypatch):
    import socket

    def refuse(*arguments, **options):
        raise AssertionError("a suite must not need the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    benchmarks = read_benchmarks([suite])
    assert len({benchmark.name for benchmark in benchmarks}) == count


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_gradient_against_finite_differences(request, spec, name):
    import numpy as np
    import torch

    from merge.evaluation.locate import locate
    from merge.evaluation.specification import read_benchmark
    from merge.evaluation.task import Settings

    task = read_benchmark(spec()).prepare(Settings(batch_size=2))
    candidate = locate(str(request.getfixturevalue(name))).load()
    gradients = task.differentiate(candidate)
    head = next(name for name in candidate.tensors if name in ("classifier.weight", "score.weight"))
    items = np.arange(task.n)[::-1].copy()
    slope = gradients.step(candidate.tensors, items, 1.0)[1][head]

    def loss(shift):
        return gradients.step({head: candidate.tensors[head] + shift}, items, 1.0)[0]

    step = torch.zeros_like(candidate.tensors[head])
    step[1, 2] = 0.01
    assert (loss(step) - loss(-step)) / 0.02 == pytest.approx(slope[1, 2].item(), abs=1e-3)
    assert slope[1, 2].item() != 0
    expected = task.evaluate(candidate).measure("loss").value
    assert gradients.step(candidate.tensors, items, 1.0)[0] == pytest.approx(expected, rel=1e-5)
