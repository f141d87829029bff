"""Perplexity, against plain loops over transformers models, and its refusals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from tiny_language_models import bert_tokenizer, make_bert, make_gpt2, make_llama, make_t5, make_tokenizer, save

from merge.errors import MergeError, UsageError
from merge.evaluation import evaluate
from merge.evaluation.language.windows import causal_windows, masked_windows
from merge.evaluation.specification import read_benchmark
from merge.evaluation.task import Settings

TEXT = "a cat, a dog and 3 cats: no, yes! was it só? É sim.\r\nthe dog said yes, the cat said no and went.\n" * 3


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save(make_llama(), tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save(make_bert(), tmp_path_factory.mktemp("models") / "bert", bert_tokenizer())


@pytest.fixture
def spec(tmp_path):
    """Write ``bench.yaml`` and its text; a list becomes JSON Lines."""

    def write(text=TEXT, more="", data=None):
        name = "text.txt" if isinstance(text, str | bytes) else "text.jsonl"
        lines = text if isinstance(text, str | bytes) else "".join(json.dumps({"text": one}) + "\n" for one in text)
        (tmp_path / name).write_bytes(lines if isinstance(lines, bytes) else lines.encode())
        path = tmp_path / "bench.yaml"
        path.write_text(f"name: words\nkind: perplexity\ndata: {data or '{path: ' + name + '}'}\n{more}")
        return str(path)

    return write


def row(evaluation, metric="perplexity", model=0):
    rows = [row for row in evaluation.results if row["metric"] == metric]
    return rows[model]


def sliding_nats(folder, tokens, context, stride):
    """The loop of transformers' guide on the perplexity of fixed-length models: total nats, tokens that counted."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids, previous, total, count = torch.tensor([tokens]), 0, 0.0, 0
    for begin in range(0, len(tokens), stride):
        end = min(begin + context, len(tokens))
        window = ids[:, begin:end]
        labels = window.clone()
        labels[:, : -(end - previous)] = -100
        with torch.no_grad():
            loss = model(window, labels=labels).loss
        counted = int((labels[:, 1:] != -100).sum())
        total, count, previous = total + loss.double().item() * counted, count + counted, end
        if end == len(tokens):
            return total, count
    raise AssertionError


def tokens_of(folder, text, start):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer.convert_tokens_to_ids(start), *tokenizer(text, add_special_tokens=False).input_ids]


@pytest.mark.parametrize(("context", "stride"), [(32, 16), (20, 3), (7, 6), (2, 1)])
def test_causal_agrees_with_the_loop_of_the_guide(llama, spec, context, stride):
    nats, count = sliding_nats(llama, tokens_of(llama, TEXT, "<s>"), context, stride)
    evaluation = evaluate([str(llama)], [spec(more=f"context: {context}\nstride: {stride}\n")], batch_size=3)
    assert row(evaluation)["n"] == count
    assert row(evaluation)["value"] == pytest.approx(math.exp(nats / count), rel=1e-5)
    assert row(evaluation, "bits_per_byte")["value"] == pytest.approx(nats / math.log(2) / len(TEXT.encode()), rel=1e-5)


def test_defaults_are_the_context_of_the_model_and_half_of_it(llama, spec):
    asked = evaluate([str(llama)], [spec(more="context: 32\nstride: 16\n")])
    default = evaluate([str(llama)], [spec()])
    assert default.results == asked.results
    assert "context 32 and stride 16 tokens" in default.notes[0]


def test_tied_weights_learned_positions_and_the_end_token_as_start(spec, tmp_path):
    folder = save(make_gpt2(), tmp_path / "gpt2", make_tokenizer(eos_token="</s>"))
    nats, count = sliding_nats(folder, tokens_of(folder, TEXT, "</s>"), 32, 16)
    assert row(evaluate([str(folder)], [spec()]))["value"] == pytest.approx(math.exp(nats / count), rel=1e-5)


def test_without_any_start_token_the_first_token_is_not_scored(llama, spec, tmp_path):
    folder = save(make_llama(), tmp_path / "bare", make_tokenizer(pad_token="<pad>"))
    nats, count = sliding_nats(folder, tokens_of(folder, TEXT, "<s>")[1:], 32, 16)
    evaluation = evaluate([str(folder)], [spec()])
    assert row(evaluation)["n"] == count == row(evaluate([str(llama)], [spec()]))["n"] - 1
    assert row(evaluation)["value"] == pytest.approx(math.exp(nats / count), rel=1e-5)
    assert "first token is not scored" in evaluation.notes[1]


@pytest.mark.parametrize("kind", ["bfloat16", "float32"])
def test_documents_are_read_on_their_own_and_weighted_by_their_tokens(llama, spec, kind):
    documents = [TEXT[:50], "é", TEXT[:71], "no"]
    parts = [sliding_nats(llama, tokens_of(llama, document, "<s>"), 32, 16) for document in documents]
    nats, count = (sum(each) for each in zip(*parts, strict=True))
    evaluation = evaluate([str(llama)], [spec(documents)], precision=kind)
    assert row(evaluation)["n"] == count
    tolerance = 1e-5 if kind == "float32" else 0.05
    assert row(evaluation)["value"] == pytest.approx(math.exp(nats / count), rel=tolerance)
    assert row(evaluation)["interval"][0] < row(evaluation)["value"] < row(evaluation)["interval"][1]


def test_several_files_are_several_documents(llama, spec, tmp_path):
    (tmp_path / "one.txt").write_text("a cat")
    (tmp_path / "two.txt").write_text("a dog, no?")
    files = evaluate([str(llama)], [spec(data="{path: [one.txt, two.txt]}")])
    lines = evaluate([str(llama)], [spec(["a cat", "a dog, no?"])])
    assert files.results == lines.results


@pytest.mark.parametrize("batch_size", [1, 5])
def test_masked_agrees_with_masking_one_token_after_another(bert, spec, batch_size):
    from transformers import AutoTokenizer, BertForMaskedLM

    documents = ["a cat, no", "yes dog", TEXT[:12]]
    model, tokenizer = BertForMaskedLM.from_pretrained(bert).eval(), AutoTokenizer.from_pretrained(bert)
    nats, count = 0.0, 0
    for document in documents:
        ids = tokenizer(document, return_tensors="pt").input_ids
        for place in range(1, ids.shape[1] - 1):
            masked = ids.clone()
            masked[0, place] = tokenizer.mask_token_id
            with torch.no_grad():
                nats -= model(masked).logits[0, place].log_softmax(0)[ids[0, place]].item()
            count += 1
    evaluation = evaluate([str(bert)], [spec(documents)], batch_size=batch_size)
    assert (row(evaluation)["n"], row(evaluation)["value"]) == (count, pytest.approx(math.exp(nats / count), rel=1e-5))
    assert evaluation.notes[0].startswith("words, " + str(bert) + ": pseudo-perplexity, each token masked alone")


def test_heads_of_a_masked_model_that_are_not_needed_may_be_there(bert, spec, tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import BertForPreTraining

    save(make_bert("BertForPreTraining"), tmp_path / "whole", bert_tokenizer())
    tensors = load_file(tmp_path / "whole" / "model.safetensors")
    assert BertForPreTraining.__name__ in (tmp_path / "whole" / "config.json").read_text()
    assert any("seq_relationship" in name for name in tensors)
    tensors.update(load_file(bert / "model.safetensors"))
    save_file(tensors, tmp_path / "whole" / "model.safetensors")
    values = [row(evaluate([str(each)], [spec("a cat")]))["value"] for each in (bert, tmp_path / "whole")]
    assert values[0] == values[1]


def test_every_token_is_scored_once_with_the_context_that_is_promised():
    for length in range(1, 40):
        for context in range(2, 12):
            for stride in range(1, context):
                check_windows(causal_windows(7, list(range(length)), context, stride), length, 1)
                check_windows(masked_windows(7, list(range(length)), context, stride), length, 0)
                for window in list(causal_windows(7, list(range(length)), context, stride))[1:]:
                    assert window.first >= context - stride
                for window in masked_windows(7, list(range(length)), context, stride):
                    least = (context - stride) // 2
                    assert window.first >= least or window.tokens[0] == 0
                    assert len(window.tokens) - window.last >= least or window.tokens[-1] == length - 1


def check_windows(windows, length, first):
    windows = list(windows)
    scored = [token for window in windows for token in window.tokens[window.first : window.last]]
    assert scored == list(range(first, length))
    assert all(window.document == 7 and window.first >= first for window in windows)


def test_pairs_of_documents_compare_across_tokenizers_and_windows_do_not(llama, spec, tmp_path):
    other = save(make_llama(seed=1), tmp_path / "other", make_tokenizer(eos_token="yes"))
    same = save(make_llama(seed=1), tmp_path / "same")
    (comparison,) = evaluate([str(llama), str(other)], [spec(["a cat", "a dog", "no"])]).comparisons
    assert (comparison["metric"], comparison["n"]) == ("bits_per_document", 3)
    (comparison,) = evaluate([str(llama), str(same)], [spec()]).comparisons
    assert comparison["metric"] == "bits_per_window"
    assert evaluate([str(llama), str(other)], [spec()]).comparisons == []


def test_the_interval_is_the_bootstrap_of_scipy_over_documents(llama, spec):
    from scipy.stats import bootstrap

    documents = [TEXT[start : start + 20] for start in range(0, 100, 10)]
    nats, counts = zip(*(sliding_nats(llama, tokens_of(llama, one, "<s>"), 32, 16) for one in documents), strict=True)
    found = bootstrap(
        (np.array(nats), np.array(counts)),
        lambda above, below: np.exp(above.sum() / below.sum()),
        paired=True,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    evaluation = evaluate([str(llama)], [spec(documents)], seed=5)
    assert row(evaluation)["interval"] == pytest.approx(list(found.confidence_interval), rel=1e-4)


def test_documents_without_a_scored_token_are_not_resampled(spec, tmp_path):
    import warnings

    folder = save(make_llama(), tmp_path / "mute", make_tokenizer(pad_token="<pad>"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate([str(folder)], [spec(["a", "a cat", "b", "no", "é", "dog no", "cat!"])])
    whole = evaluate([str(folder)], [spec(["a cat", "dog no", "cat!"])])
    assert row(found) == row(whole)
    assert row(found)["n"] == 2 + 2 + 1
    bits = row(whole, "bits_per_byte")["value"] * len("a catdog nocat!")
    assert row(found, "bits_per_byte")["value"] * len("a cat b no é dog no cat!".replace(" ", "")) != bits
    assert row(found, "bits_per_byte")["value"] == pytest.approx(bits / len("aa catbnoédog nocat!".encode()))


def test_one_document_with_scored_tokens_among_several(spec, tmp_path):
    folder = save(make_llama(), tmp_path / "mute", make_tokenizer(pad_token="<pad>"))
    told = r"only 1 of 3 documents has tokens to score.*\(the tokenizer has no token that begins a text"
    with pytest.raises(MergeError, match=told):
        evaluate([str(folder)], [spec(["a", "a cat", "b"])])


def test_a_text_of_one_window_says_that_its_interval_is_narrow(llama, spec):
    evaluation = evaluate([str(llama)], [spec("a cat")])
    assert row(evaluation)["n"] == 3
    assert "too narrow" in evaluation.notes[1]


def test_progress_is_in_characters(llama, spec):
    from merge.evaluation.locate import locate

    seen = []
    task = read_benchmark(spec()).prepare(Settings(advance=seen.append))
    task.evaluate(locate(str(llama)).load())
    assert sum(seen) == task.n == len(TEXT)
    assert len(seen) > 2


@pytest.mark.parametrize(
    ("text", "more", "data", "message"),
    [
        ("", "", None, "text.txt: the text is empty"),
        (b"abc\xff", "", None, "text.txt is not UTF-8 at byte 3"),
        (["a", ""], "", None, "text.jsonl, line 2: the text is empty"),
        (["a", "\ud800"], "", None, "line 2: the text is no valid Unicode"),
        ([], "", None, "there is no text"),
        (["a", 5], "", None, "text.jsonl, line 2: what is under 'text' is no text, but 5"),
        (["a"], "", "{path: text.jsonl, text: txt}", "did you mean 'text'?"),
        ("a", "", "{path: text.txt, text: txt}", "'text' is a key in the lines of a .jsonl file"),
        ("a", "", "{path: absent.txt}", "no such text file: absent.txt"),
        ("a", "", "{path: []}", "'path' is an empty list"),
        ("a", "", "{path: text.txt, spilt: all}", "unknown key 'spilt'"),
        ("a", "context: 1\n", None, "'context' must be a whole number of tokens from 2"),
        ("a", "stride: 0.5\n", None, "'stride' must be a whole number of tokens from 1"),
        ("a", "context: 8\nstride: 8\n", None, "'stride' must be below the context of 8"),
        ("a", "strides: 8\n", None, "did you mean 'stride'?"),
    ],
)
def test_wrong_benchmarks(spec, text, more, data, message):
    path = spec(text, more, data)
    with pytest.raises(UsageError) as refusal:
        read_benchmark(path).prepare(Settings())
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(path)


@pytest.mark.parametrize("line", ["{", "[1]", '"a"'])
def test_lines_that_are_no_objects(spec, tmp_path, line):
    path = spec(["a"])
    (tmp_path / "text.jsonl").write_text(line)
    with pytest.raises(UsageError, match="line 1 is no"):
        read_benchmark(path).prepare(Settings())


def test_lines_that_are_nested_too_deeply(spec, tmp_path):
    path = spec(["a"])
    (tmp_path / "text.jsonl").write_text('{"text": "a"}\n' + "[" * 100_000)
    with pytest.raises(UsageError, match=r"text.jsonl, line 2 is no JSON that can be read: nested too deeply"):
        read_benchmark(path).prepare(Settings())


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("a", "", "fewer than 2 tokens"),
        (TEXT, "context: 33\n", "the model takes 32 tokens at once"),
        (TEXT, "stride: 40\n", "must be below the context of 32"),
    ],
)
def test_requests_that_do_not_fit_the_model(llama, spec, text, more, message):
    with pytest.raises(MergeError, match=message):
        evaluate([str(llama)], [spec(text, more)])


def test_models_that_have_no_perplexity(spec, tmp_path, bert):
    from tiny_models import make_classifier

    with pytest.raises(MergeError, match="T5ForConditionalGeneration answers to a text"):
        evaluate([str(save(make_t5(), tmp_path / "t5"))], [spec()])
    with pytest.raises(MergeError, match="ViTForImageClassification is no language model"):
        evaluate([str(save(make_classifier(0), tmp_path / "vit"))], [spec()])
    with pytest.raises(MergeError, match="has no mask token"):
        evaluate([str(save(make_bert(), tmp_path / "bert"))], [spec()])


def test_a_model_without_a_tokenizer(spec, tmp_path, llama):
    make_llama().save_pretrained(tmp_path / "bare")
    with pytest.raises(UsageError, match="no tokenizer beside the weights"):
        evaluate([str(tmp_path / "bare")], [spec()])
    evaluation = evaluate([str(tmp_path / "bare")], [spec(more=f"model: {llama}\n")])
    assert row(evaluation)["value"] == row(evaluate([str(llama)], [spec()]))["value"]
    (tmp_path / "bare" / "tokenizer.json").write_text("{}")
    with pytest.raises(MergeError, match="cannot load the tokenizer"):
        evaluate([str(tmp_path / "bare")], [spec()])


def test_a_tokenizer_of_another_model(spec, tmp_path):
    folder = save(make_llama(vocab_size=20), tmp_path / "small")
    with pytest.raises(MergeError, match=r"the tokenizer gives token \d+, the model has embeddings for 20 tokens"):
        evaluate([str(folder)], [spec()])


def test_weights_that_are_not_finite(spec, tmp_path):
    model = make_llama()
    model.lm_head.weight.data[:] = torch.nan
    with pytest.raises(MergeError, match="not finite"):
        evaluate([str(save(model, tmp_path / "nan"))], [spec()])
    model.lm_head.weight.data = make_llama().lm_head.weight.data * 1e5
    with pytest.raises(MergeError, match="too large for a number"):
        evaluate([str(save(model, tmp_path / "huge"))], [spec()])


def test_the_random_state_of_the_caller_is_left_alone(llama, spec):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    evaluate([str(llama)], [spec()])
    assert torch.equal(torch.rand(2), expected)


def test_items_are_known_by_their_texts(spec):
    digests = [read_benchmark(spec(each)).prepare(Settings()).item_digests() for each in (["a", "b"], ["b", "c"])]
    assert (len(digests[0]), len(digests[0] & digests[1])) == (2, 1)


def test_special_characters_and_bytes_are_counted(llama, spec):
    text = "\ufeff日本\t\x00 🐱 é"
    evaluation = evaluate([str(llama)], [spec(text)])
    assert f"{len(text.encode())} bytes" in evaluation.notes[0]
