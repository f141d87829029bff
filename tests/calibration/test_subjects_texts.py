"""Networks that read, as calibration runs them: classifiers, language models of three kinds, backbones and towers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation.tiny_clip import OPEN_CLIP_NAME, make_clip, make_open_clip
from evaluation.tiny_language_models import (
    bert_tokenizer,
    make_bert,
    make_gpt2,
    make_llama,
    make_t5,
    make_tokenizer,
    save,
)
from safetensors.torch import save_file

from merge.calibration.data import read_data
from merge.calibration.subject import IGNORED
from merge.errors import MergeError, UsageError
from merge.evaluation.locate import locate
from merge.evaluation.task import Settings

SETTINGS = Settings()
TEXTS = ["cat dog", "a", "yes no yes no yes", "dog"]
TARGETS = ["no", "yes a cat", "b", "cat cat"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    rows = [
        {"text": text, "target": target, "labels": number % 2}
        for number, (text, target) in enumerate(zip(TEXTS, TARGETS, strict=True))
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "rows.jsonl"


def subject_of(model: Path | str, data: Path | str, settings: Settings = SETTINGS) -> tuple[Any, Any]:
    """A model's subject, and the one batch of a sample of four items for it."""
    described = read_data(str(data))
    subject = described.subject(locate(str(model)).load(), settings)
    (batch,) = described.sample(subject, 4, "first", settings).batches(8)
    return subject, batch


def check_places(subject: Any, model: Path) -> None:
    tensors = locate(str(model)).load().tensors
    places = subject.places()
    assert set(places) == set(tensors)
    for name, place in places.items():
        assert torch.equal(place, tensors[name]), name
    assert all(parameter.requires_grad for parameter in subject.module.parameters())
    assert not subject.module.training


def alone(subject: Any, tokens: list[int]) -> Any:
    """What the network gives for one text without padding."""
    return subject.module(input_ids=torch.tensor([tokens])).logits[0]


def test_classifier_of_texts(tmp_path: Path, lines: Path) -> None:
    save(make_bert("BertForSequenceClassification", num_labels=2), tmp_path / "bert", bert_tokenizer())
    subject, batch = subject_of(tmp_path / "bert", lines)
    check_places(subject, tmp_path / "bert")
    assert subject.predicts == "classes"
    assert batch.labels.tolist() == [0, 1, 0, 1]
    lengths = [len(bert_tokenizer()(text)["input_ids"]) for text in TEXTS]
    assert list(batch.counted) == ["input_ids"]
    assert batch.counted["input_ids"].sum(dim=1).tolist() == lengths
    logits = subject.logits(batch.inputs)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(logits[row], alone(subject, bert_tokenizer()(text)["input_ids"]))


def test_classifier_without_a_filler_of_its_own(tmp_path: Path, lines: Path) -> None:
    model = make_gpt2("GPT2ForSequenceClassification", num_labels=2)
    save(model, tmp_path / "gpt2")
    subject, batch = subject_of(tmp_path / "gpt2", lines)
    logits = subject.logits(batch.inputs)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(logits[row], alone(subject, make_tokenizer()(text)["input_ids"]))


def test_causal_model_predicts_the_next_token(tmp_path: Path, lines: Path) -> None:
    save(make_llama(), tmp_path / "llama")
    subject, batch = subject_of(tmp_path / "llama", lines)
    check_places(subject, tmp_path / "llama")
    assert subject.predicts == "tokens"
    logits = subject.logits(batch.inputs)
    for row, text in enumerate(TEXTS):
        tokens = make_tokenizer()(text)["input_ids"]
        wanted = [*tokens[1:], IGNORED] + [IGNORED] * (batch.labels.shape[1] - len(tokens))
        assert batch.labels[row].tolist() == wanted
        torch.testing.assert_close(logits[row, : len(tokens)], alone(subject, tokens))


def test_tied_weights_have_one_parameter_under_all_their_names(tmp_path: Path, lines: Path) -> None:
    model = make_gpt2()
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save(model, tmp_path / "gpt2")
    save_file(tensors, tmp_path / "gpt2/model.safetensors", metadata={"format": "pt"})
    assert "lm_head.weight" in tensors
    places = subject_of(tmp_path / "gpt2", lines)[0].places()
    assert places["lm_head.weight"] is places["transformer.wte.weight"]
    assert set(places) == set(tensors)


def test_masked_model_predicts_what_was_masked(tmp_path: Path) -> None:
    tokenizer = bert_tokenizer()
    save(make_bert(), tmp_path / "bert", tokenizer)
    text = "abcdefghijklmABCDE!?"
    (tmp_path / "text.txt").write_text(text)
    subject, batch = subject_of(tmp_path / "bert", tmp_path / "text.txt")
    assert subject.predicts == "tokens"
    tokens = torch.tensor(tokenizer(text)["input_ids"])
    chosen = batch.labels[0] != IGNORED
    assert int(chosen.sum()) == 3  # 15 % of 20
    assert torch.equal(batch.labels[0][chosen], tokens[chosen])
    assert (batch.inputs["input_ids"][0][chosen] == tokenizer.mask_token_id).all()
    assert torch.equal(batch.inputs["input_ids"][0][~chosen], tokens[~chosen])
    again = subject_of(tmp_path / "bert", tmp_path / "text.txt")[1]
    other = subject_of(tmp_path / "bert", tmp_path / "text.txt", replace(SETTINGS, seed=1))[1]
    assert torch.equal(again.labels, batch.labels)
    assert not torch.equal(other.labels, batch.labels)


def test_what_is_masked_of_an_item_depends_on_its_number_not_on_the_draw(tmp_path: Path, lines: Path) -> None:
    save(make_bert(), tmp_path / "bert", bert_tokenizer())
    data = read_data(str(lines))
    subject = data.subject(locate(str(tmp_path / "bert")).load(), SETTINGS)
    (first,) = data.sample(subject, 4, "first", SETTINGS).batches(4)
    drawn = data.sample(subject, 4, "random", SETTINGS)
    rows = {tuple(row.tolist()) for batch in drawn.batches(4) for row in batch.labels}
    assert rows == {tuple(row.tolist()) for row in first.labels}


def test_masked_model_without_a_mask_is_refused(tmp_path: Path, lines: Path) -> None:
    save(make_bert(), tmp_path / "bert")
    with pytest.raises(MergeError, match="has no mask token"):
        subject_of(tmp_path / "bert", lines)


def test_encoder_and_decoder(tmp_path: Path, lines: Path) -> None:
    save(make_t5(), tmp_path / "t5")
    subject, batch = subject_of(tmp_path / "t5", lines)
    check_places(subject, tmp_path / "t5")
    assert subject.predicts == "tokens"
    assert set(batch.counted) == {"input_ids", "decoder_input_ids"}
    logits = subject.logits(batch.inputs)
    for row, (text, target) in enumerate(zip(TEXTS, TARGETS, strict=True)):
        tokens, wanted = make_tokenizer()(text)["input_ids"], make_tokenizer()(target)["input_ids"]
        assert batch.labels[row][batch.labels[row] != IGNORED].tolist() == wanted
        assert batch.inputs["decoder_input_ids"][row, : len(wanted)].tolist() == [0, *wanted[:-1]]
        assert int(batch.counted["decoder_input_ids"][row].sum()) == len(wanted)
        expected = subject.module(input_ids=torch.tensor([tokens]), labels=torch.tensor([wanted])).logits[0]
        torch.testing.assert_close(logits[row, : len(wanted)], expected)


def test_encoder_and_decoder_need_targets(tmp_path: Path) -> None:
    save(make_t5(), tmp_path / "t5")
    (tmp_path / "text.txt").write_text("cat dog")
    with pytest.raises(UsageError, match=r"gives a text for a text, but the data has no targets .*column 'target'"):
        subject_of(tmp_path / "t5", tmp_path / "text.txt")
    (tmp_path / "rows.jsonl").write_text('{"text": "cat", "tarhet": "dog"}\n')
    with pytest.raises(UsageError, match=r"no column 'target' \(did you mean 'tarhet'"):
        subject_of(tmp_path / "t5", tmp_path / "rows.jsonl")


def test_target_of_another_name(tmp_path: Path, lines: Path) -> None:
    save(make_t5(), tmp_path / "t5")
    (tmp_path / "d.yaml").write_text("kind: classification\ndata: {path: rows.jsonl, text: target, target: text}\n")
    _, batch = subject_of(tmp_path / "t5", tmp_path / "d.yaml")
    assert batch.inputs["input_ids"][0, :1].tolist() == make_tokenizer()(TARGETS[0])["input_ids"]


def _encoder() -> Any:
    from transformers import T5EncoderModel

    return T5EncoderModel(make_t5().config)


BARE = {
    "BertModel": lambda: make_bert("BertModel"),
    "GPT2Model": lambda: make_gpt2("GPT2Model"),
    "BertForTokenClassification": lambda: make_bert("BertForTokenClassification"),
    "T5EncoderModel": _encoder,
}


@pytest.mark.parametrize("name", BARE)
def test_backbone_predicts_nothing(name: str, tmp_path: Path, lines: Path) -> None:
    save(BARE[name](), tmp_path / "bare", bert_tokenizer())
    subject, batch = subject_of(tmp_path / "bare", lines)
    check_places(subject, tmp_path / "bare")
    assert type(subject.module).__name__ == name
    assert subject.predicts == "nothing"
    assert batch.labels is None
    subject.run(batch.inputs)
    with pytest.raises(MergeError, match=f"{name} predicts nothing"):
        subject.logits(batch.inputs)


def test_backbone_saved_without_its_pooler(tmp_path: Path, lines: Path) -> None:
    from transformers import BertModel

    model = BertModel(make_bert().config, add_pooling_layer=False)
    save(model, tmp_path / "bare", bert_tokenizer())
    subject, batch = subject_of(tmp_path / "bare", lines)
    subject.run(batch.inputs)
    check_places(subject, tmp_path / "bare")


def test_fixed_head_over_a_backbone(tmp_path: Path, lines: Path) -> None:
    save(make_gpt2("GPT2Model"), tmp_path / "bare")
    weight = torch.randn(3, 8)
    save_file({"mine": weight}, tmp_path / "heads.safetensors")
    text = "kind: classification\ndata: {path: rows.jsonl, text: text}\nhead: heads.safetensors#mine\n"
    (tmp_path / "d.yaml").write_text(text)
    subject, batch = subject_of(tmp_path / "bare", tmp_path / "d.yaml")
    assert subject.predicts == "classes"
    hidden = subject.module(**batch.inputs).last_hidden_state
    last = batch.inputs["attention_mask"].sum(dim=1) - 1
    torch.testing.assert_close(subject.logits(batch.inputs), hidden[range(4), last] @ weight.T)
    (tmp_path / "d.yaml").write_text(text.replace("#mine", "#other"))
    subject, batch = subject_of(tmp_path / "bare", tmp_path / "d.yaml")
    subject.run(batch.inputs)  # activations need no head
    with pytest.raises(UsageError, match="no tensor 'other'"):
        subject.logits(batch.inputs)


def test_running_text_is_cut_into_pieces_of_the_context(tmp_path: Path) -> None:
    save(make_llama(), tmp_path / "llama")
    (tmp_path / "text.txt").write_text("abcdefghij")
    (tmp_path / "d.yaml").write_text("kind: perplexity\ndata: {path: text.txt}\ncontext: 4\n")
    _, batch = subject_of(tmp_path / "llama", tmp_path / "d.yaml")
    tokens = make_tokenizer()("abcdefghij")["input_ids"]
    rows = [ids[mask].tolist() for ids, mask in zip(batch.inputs["input_ids"], batch.counted["input_ids"], strict=True)]
    assert rows == [tokens[:4], tokens[4:8], tokens[8:]]
    (tmp_path / "d.yaml").write_text("kind: perplexity\ndata: {path: text.txt}\ncontext: 33\n")
    with pytest.raises(MergeError, match="takes 32 tokens at once; a context of 33 is too long"):
        subject_of(tmp_path / "llama", tmp_path / "d.yaml")


def test_pieces_have_the_special_tokens_of_a_text(tmp_path: Path) -> None:
    save(make_bert("BertModel"), tmp_path / "bert", bert_tokenizer())
    (tmp_path / "text.txt").write_text("a" * 26)
    _, batch = subject_of(tmp_path / "bert", tmp_path / "text.txt")
    assert batch.counted["input_ids"].sum(dim=1).tolist() == [24, 6]  # of 24 positions, two for [CLS] and [SEP]
    assert batch.inputs["input_ids"][:, 0].tolist() == [5, 5]
    assert batch.inputs["input_ids"][0, -1] == batch.inputs["input_ids"][1, 5] == 6


def test_long_texts_are_cut_and_counted(tmp_path: Path) -> None:
    save(make_bert("BertForSequenceClassification"), tmp_path / "bert", bert_tokenizer())
    (tmp_path / "r.jsonl").write_text('{"text": "a"}\n{"text": "abcdefghijklmnopqrstuvwxyz"}\n')
    data = read_data(str(tmp_path / "r.jsonl"))
    subject = data.subject(locate(str(tmp_path / "bert")).load(), SETTINGS)
    sample = data.sample(subject, 2, "first", SETTINGS)
    (batch,) = sample.batches(2)
    assert batch.labels is None
    assert batch.inputs["input_ids"].shape == (2, 24)
    assert sample.about["notes"] == ["1 of 2 texts were cut to the length that the model takes"]


CAPTIONS = '{"text": "a b"}\n{"text": "a ! cat !"}\n'


@pytest.mark.parametrize("sigmoid", [False, True])
def test_text_tower_of_transformers(sigmoid: bool, tmp_path: Path) -> None:
    model = make_clip(tmp_path / "clip", sigmoid=sigmoid)
    (tmp_path / "captions.jsonl").write_text(CAPTIONS)
    subject, batch = subject_of(tmp_path / "clip", tmp_path / "captions.jsonl")
    own = {name for name in locate(str(tmp_path / "clip")).load().tensors if name.startswith("text_")}
    assert set(subject.places()) == own
    name = next(name for name in own if name.endswith("fc1.weight"))
    assert torch.equal(subject.places()[name], model.state_dict()[name])
    assert subject.predicts == "nothing"
    subject.run(batch.inputs)
    assert batch.counted["input_ids"].sum(dim=1).tolist() == [4, 8]  # letters, each a word, between start and end


def test_text_tower_of_open_clip(tmp_path: Path) -> None:
    model = make_open_clip(tmp_path)
    (tmp_path / "captions.jsonl").write_text(CAPTIONS)
    settings = replace(SETTINGS, model=f"open_clip:{OPEN_CLIP_NAME}")
    subject, batch = subject_of(tmp_path / "open_clip.safetensors", tmp_path / "captions.jsonl", settings)
    own = {name for name in model.state_dict() if not name.startswith("visual.") and "logit" not in name}
    assert set(subject.places()) == own
    assert batch.counted["text"].sum(dim=1).tolist() == [4, 6]  # an exclamation mark has the number of padding
    seen = []
    subject.module.transformer.register_forward_hook(lambda *arguments: seen.append(1))
    subject.run(batch.inputs)
    assert seen == [1]


def test_model_of_images_is_refused(tmp_path: Path, lines: Path) -> None:
    from evaluation.tiny_models import make_classifier

    make_classifier(0).save_pretrained(tmp_path / "vit")
    with pytest.raises(UsageError, match="ViTForImageClassification reads images, but the data 'rows' is texts"):
        subject_of(tmp_path / "vit", lines)
    with pytest.raises(UsageError, match="'timm:resnet18' reads images, but the data 'rows' is texts"):
        subject_of(tmp_path / "vit", lines, replace(SETTINGS, model="timm:resnet18"))


def test_tokens_of_another_models_tokenizer_are_refused(tmp_path: Path, lines: Path) -> None:
    save(make_llama(vocab_size=20), tmp_path / "llama")
    with pytest.raises(MergeError, match=r"the tokenizer gives token .*, the model has embeddings for 20 tokens"):
        subject_of(tmp_path / "llama", lines)
