"""BERT, RoBERTa and what shares their names: one residual stream with norms after each sum, and a head of some kind."""

from __future__ import annotations

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
    encoder.layer.*.output.LayerNorm.weight:0 encoder.layer.*.output.LayerNorm.bias:0
""")
_MLP = [
    "encoder.layer.{i}.intermediate.dense.weight:0",
    "encoder.layer.{i}.intermediate.dense.bias:0",
    "encoder.layer.{i}.output.dense.weight:1",
]
_ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
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
    readers = [*_classifier(draft, checkpoint, prefix), *_words(draft, checkpoint)]
    tower = Tower(prefix, _STREAM, readers, separate(names, width=width, heads=heads), _MLP)
    add_tower(draft, tower, checkpoint.shapes)
    draft.stays("places and words are counted, not units", [f"{prefix}embeddings.position_ids"])
    return draft


def _classifier(draft: Draft, checkpoint: Checkpoint, prefix: str) -> list[str]:
    """Add the groups of pooler and classifiers; return the axes with which they read the stream."""
    draft.stays("the model's outputs", ["classifier.*:0", "qa_outputs.*:0", "cls.seq_relationship.*:0"])
    if checkpoint.has("classifier.dense.weight"):
        members = ["classifier.dense.weight:0", "classifier.dense.bias:0", "classifier.out_proj.weight:1"]
        draft.group("classifier", members)
        return ["classifier.dense.weight:1"]
    pooler = with_prefix(prefix, ["pooler.dense.weight:0", "pooler.dense.bias:0"])
    pooled = [f"{name}.weight:1" for name in ("classifier", "cls.seq_relationship") if checkpoint.has(f"{name}.weight")]
    if not checkpoint.has(f"{prefix}pooler.dense.weight"):
        return ["classifier.weight:1?", "qa_outputs.weight:1?"]
    if pooled:
        draft.group("pooler", [*pooler, *pooled])
        return [f"{prefix}pooler.dense.weight:1"]
    draft.stays("the pooled output is the model's", [*pooler, f"{prefix}pooler.dense.weight:1"])
    return ["qa_outputs.weight:1?"]


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
