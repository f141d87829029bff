"""Two texts in two languages, their training and held-out parts, and one tokenizer for both."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, NamedTuple

HELD_OUT = 0.1  # share of each text, at its end
# Of Python itself, for runs without files: two kinds of writing, since no text in a second human language is at hand.
MODULES = (
    "argparse",
    "ast",
    "asyncio.tasks",
    "collections",
    "dataclasses",
    "doctest",
    "email.message",
    "enum",
    "inspect",
)
MODULES += (
    "logging",
    "pathlib",
    "pickle",
    "shutil",
    "statistics",
    "subprocess",
    "tarfile",
    "threading",
    "typing",
    "zipfile",
)


class Text(NamedTuple):
    """A text in two parts."""

    name: str
    training: str
    held_out: str


def read(path: Path) -> Text:
    """Read a file in UTF-8; what is held out is its end."""
    return split(path.name, path.read_text("utf-8"))


def split(name: str, whole: str) -> Text:
    """Return a text in two parts."""
    at = int(len(whole) * (1 - HELD_OUT))
    return Text(name, whole[:at], whole[at:])


def at_hand() -> tuple[Text, Text]:
    """Return the English of Python's language reference, and program text of its standard library."""
    import importlib
    from pydoc_data.topics import topics

    english = "\n".join(topics.values())
    programs = "\n".join(inspect.getsource(importlib.import_module(name)) for name in MODULES)
    return split("English (Python's reference)", english), split("program text (Python's library)", programs)


def train_tokenizer(texts: tuple[Text, Text], size: int) -> Any:
    """Return a byte-level tokenizer trained on the training parts of both texts, an equal share of each."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    shortest = min(len(text.training) for text in texts)
    tokenizer.train_from_iterator([text.training[:shortest] for text in texts], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")
