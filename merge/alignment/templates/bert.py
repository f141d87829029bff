"""BERT, RoBERTa and what shares their names: one residual stream with norms after each sum, and a head of some kind."""

from __future__ import annotations

from typing import NamedTuple

from .attention import known_heads, separate
from .draft import Checkpoint, Draft, listed, with_prefix
from .transformer import Tower, add_tower

_STREAM = listed("""
    embeddings.word_embeddings.weight:1 embeddings.position_embeddings.weight:1
    embeddings.token_type_embeddings.weight:1? embeddings.LayerNorm.weight:0 embeddings.LayerNorm.bias:0
    encoder.layer.*.attention.self.query.weight:1 encoder.layer.*.attention.self.key.weight:1
    encoder.layer.*.attention.self.value.weight:1
    encoder.layer.*.attention.output.dense.weight:0 encoder.layer.*.attention.output.dense.bias:0
    encoder.layer.*.attention.output.LayerNorm.weight:0 encoder.layer.*.attention.output.LayerNorm.bias:0
    encoder.layer.*.intermediate.dense.weight:1
    encoder.layer.*.output.dense.weight:0 encoder.layer.*.output.dense.bias:0
    encoder.layer.*.output.LayerNorm.weight:0 encoder.layer.*.output.LayerNorm.bias:0 pooler.dense.weight:1?
""")
_MLP = [
    "encoder.layer.{i}.intermediate.dense.weight:0",
    "encoder.layer.{i}.intermediate.dense.bias:0",
    "encoder.layer.{i}.output.dense.weight:1",
]
_ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
_POOLING = ("SequenceClassification", "MultipleChoice", "NextSentencePrediction")
# Heads that predict words: their names before the decoder, BERT's and RoBERTa's.
_WORDS = {"cls.predictions.": ("transform.dense", "transform.LayerNorm"), "lm_head.": ("dense", "layer_norm")}


def bert(checkpoint: Checkpoint) -> Draft | None:
    """Return the groups of transformers' BERT and RoBERTa, or None where the names are others."""
    prefix = checkpoint.prefix_of("encoder.layer.0.attention.self.query.weight")
    if prefix is None or not checkpoint.has(f"{prefix}embeddings.word_embeddings.weight"):
        return None
    draft = Draft("transformers' BERT")
    names = [f"{prefix}encoder.layer.{{i}}.{name}" for name in _ATTENTION]
    width = checkpoint.shapes[f"{names[0].replace('{i}', '0')}.weight"][0]
    heads = known_heads(checkpoint.number("num_attention_heads"), width)
    classifier, words = _classifier(draft, checkpoint, prefix), _words(draft, checkpoint)
    attention = separate(names, width=width, heads=heads)
    tower = Tower(prefix, _STREAM, [*classifier.axes, *words], attention, _MLP, classifier.reads_pooled)
    add_tower(draft, tower, checkpoint.shapes)
    draft.stays("places and words are counted, not units", [f"{prefix}embeddings.position_ids"])
    return draft


class _Classifier(NamedTuple):
    """Axes that have the order of the stream, and whether the pooler stands between it and a classifier."""

    axes: list[str]
    reads_pooled: bool = False


def _classifier(draft: Draft, checkpoint: Checkpoint, prefix: str) -> _Classifier:
    """Add the groups of pooler and classifiers; return how they read the stream."""
    draft.stays("the model's outputs", ["classifier.*:0", "qa_outputs.*:0", "cls.seq_relationship.*:0"])
    pooler = with_prefix(prefix, ["pooler.dense.weight:0", "pooler.dense.bias:0"])
    if checkpoint.has("classifier.dense.weight"):
        members = ["classifier.dense.weight:0", "classifier.dense.bias:0", "classifier.out_proj.weight:1"]
        draft.group("classifier", members)
        draft.stays("nothing reads the pooled output", pooler)
        return _Classifier(["classifier.dense.weight:1"])
    pooled = [f"{name}.weight:1" for name in ("classifier", "cls.seq_relationship") if checkpoint.has(f"{name}.weight")]
    pooling = _pooling(checkpoint) if checkpoint.has(f"{prefix}pooler.dense.weight") else False
    if pooled and pooling:
        draft.group("pooler", [*pooler, *pooled])
        return _Classifier(["qa_outputs.weight:1?"], reads_pooled=True)
    if pooled and pooling is None:
        draft.notes.append("the pooler moves with the residual stream: config.json would say whether it is used")
        return _Classifier([*pooler, *pooled])
    draft.stays("the pooled output is the model's", pooler)
    return _Classifier(["classifier.weight:1?", "qa_outputs.weight:1?"])


def _pooling(checkpoint: Checkpoint) -> bool | None:
    """Tell whether the classifier reads what the pooler makes; None if nothing says so.

    A classifier of tokens does not, though older checkpoints of one hold a pooler. One order for the stream and for
    what the pooler makes holds in both cases.
    """
    if checkpoint.has("cls.seq_relationship.weight"):
        return True
    names = " ".join(str(name) for name in checkpoint.config.get("architectures") or ())
    if "TokenClassification" in names:
        return False
    return True if any(kind in names for kind in _POOLING) else None


def _words(draft: Draft, checkpoint: Checkpoint) -> list[str]:
    """Add the groups of a head that predicts words; return the axes with which it reads the stream.

    The words' vectors mostly are the embeddings', and then what the head makes has the order of the stream.
    """
    for start, (dense, norm) in _WORDS.items():
        if not checkpoint.has(f"{start}{dense}.weight"):
            continue
        draft.stays("words are counted, not units", [f"{start}bias", f"{start}decoder.*:0"])
        made = [
            f"{start}{dense}.weight:0",
            f"{start}{dense}.bias:0",
            f"{start}{norm}.weight:0",
            f"{start}{norm}.bias:0",
        ]
        made.append(f"{start}decoder.weight:1?")
        if checkpoint.has(f"{start}decoder.weight") and checkpoint.config.get("tie_word_embeddings") is False:
            draft.group("words", made)
            made = []
        return [f"{start}{dense}.weight:1", *made]
    return []
