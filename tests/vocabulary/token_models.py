"""Tiny language models with tokenizers of their own, which the tests of this folder make on the spot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file

from merge.cli import main

SPECIAL = ("<unk>", "<s>", "</s>")
CHAT = ["<|im_start|>", "<|im_end|>"]
UNUSED = [f"<UNUSED_{number}>" for number in range(4)]
SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


def words(count: int = 64) -> list[str]:
    """The first tokens of every model: three special ones and words."""
    return [*SPECIAL, *(f"w{number}" for number in range(3, count))]


def word_tokenizer(tokens: Sequence[str], added: Sequence[Any] = (), **roles: str) -> Any:
    """A tokenizer of whole words with added tokens behind them."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    roles = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"} | roles
    found = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)
    found.add_tokens(list(added))
    return found


def byte_tokenizer(merges: Sequence[tuple[str, str]], added: Sequence[Any] = ()) -> Any:
    """A byte pair encoding over the letters with these merges."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    tokens = [*SPECIAL, *"abcdefgh ", *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(BPE(vocabulary, list(merges), unk_token="<unk>"))
    tokenizer.decoder = Fuse()
    found = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    found.add_tokens(list(added))
    return found


def make_llama(folder: Path, tokenizer: Any, *, rows: int | None = None, seed: int = 0, **changes: Any) -> Path:
    """A Llama with a row for every token, or this many, in a folder with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    settings = {**SIZES, "vocab_size": rows or len(tokenizer), "max_position_embeddings": 32, "pad_token_id": 0}
    model = LlamaForCausalLM(LlamaConfig(**(settings | changes)))
    return save(model, folder, tokenizer)


def make_four(root: Path) -> Path:
    """64 tokens; the same and two for chats; 64 rows but four tokens more; 80 rows for 66 tokens, one of them new."""
    make_llama(root / "base", word_tokenizer(words()), seed=0)
    make_llama(root / "chat", word_tokenizer(words(), CHAT), seed=1)
    make_llama(root / "unused", word_tokenizer(words(), UNUSED), rows=64, seed=2)
    make_llama(root / "padded", word_tokenizer(words(), ["<new>", "<|im_end|>"]), rows=80, seed=3)
    return root


def save(model: Any, folder: Path, tokenizer: Any) -> Path:
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_recipe(path: Path, **keys: Any) -> Path:
    """A recipe in this tool's own grammar; paths are those of folders."""
    plain = json.loads(json.dumps(keys, default=str))
    path.write_text(yaml.safe_dump(plain, sort_keys=False), "utf-8")
    return path


def run(folder: Path, out: Path, models: Mapping[str, float], tokenizer: Any, **more: Any) -> Path:
    """Merge models with these weights; the first is the base."""
    listed = [{"model": folder / name, "weight": weight} for name, weight in models.items()]
    output = {"path": out, "tokenizer": tokenizer} | more.pop("output", {})
    merge = {"merge": "soup", "options": {"normalize": True}} if len(models) > 1 else {"merge": "passthrough"}
    listed = listed if len(models) > 1 else [{"model": entry["model"]} for entry in listed]
    recipe = write_recipe(out.with_suffix(".yaml"), **merge, models=listed, output=output, **more)
    assert main(["run", str(recipe), "--quiet"]) == 0
    return out


def tensors(folder: Path) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float64) for name, array in load_file(folder / "model.safetensors").items()}


def vocabulary(folder: Path) -> dict[str, int]:
    """The tokens as a user of transformers gets them."""
    return load(folder).get_vocab()


def load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether float32 results agree with a float64 computation to 1e-6 of the largest entry."""
    return one.shape == other.shape and bool(np.abs(one - other).max() <= 1e-6 * np.abs(other).max())
