"""Chat templates: the built-in ones write what their styles are known for; an output has the one that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from token_models import load, make_llama, word_tokenizer, words, write_recipe

from merge.cli import main
from merge.vocabulary.template import template_names

TALK = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "bye"},
]
STYLES = {
    "alpaca": "be kind\n\n### Instruction:\nhello\n\n### Response:\nhi</s>\n\n### Instruction:\nbye\n\n### Response:\n",
    "chatml": (
        "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n"
        "<|im_start|>assistant\nhi<|im_end|>\n<|im_start|>user\nbye<|im_end|>\n<|im_start|>assistant\n"
    ),
    "exaone": "[|system|]be kind[|endofturn|]\n[|user|]hello\n[|assistant|]hi[|endofturn|]\n[|user|]bye\n[|assistant|]",
    "llama3": (
        "<s><|start_header_id|>system<|end_header_id|>\n\nbe kind<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        "hello<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>user"
        "<|end_header_id|>\n\nbye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "mistral": "<s>[INST] be kind\n\nhello [/INST] hi</s>[INST] bye [/INST]",
}
ONE, TWO = "{{ messages[0].content }}", "{{ messages[1].content }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models without a template (``none``) and with one, kept in the older and in the newer way."""
    root = tmp_path_factory.mktemp("models")
    for number, name in enumerate(("none", "one", "two", "also")):
        make_llama(root / name, word_tokenizer(words()), seed=number)
    (root / "one" / "chat_template.jinja").write_text(ONE)
    several = [{"name": "tool_use", "template": ONE}, {"name": "default", "template": TWO}]
    for name, template in (("two", several), ("also", f" {TWO}\n")):
        place = root / name / "tokenizer_config.json"
        place.write_text(json.dumps(json.loads(place.read_text()) | {"chat_template": template}))
    return root


def run(folder: Path, out: Path, names: tuple[str, ...], template: str, **more: Any) -> Path:
    output = {"path": out, "chat_template": template, **more}
    models = [folder / name for name in names]
    recipe = write_recipe(out.with_suffix(".yaml"), merge="soup", models=models, output=output)
    assert main(["run", str(recipe), "--quiet"]) == 0
    return out


def test_every_built_in_template_is_tested() -> None:
    assert template_names() == sorted(STYLES)


@pytest.mark.parametrize("style", STYLES)
def test_styles(style: str, folder: Path, tmp_path: Path) -> None:
    out = run(folder, tmp_path / "out", ("two", "none"), style)
    tokenizer = load(out)
    assert tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=True) == STYLES[style]
    assert (out / "chat_template.jinja").is_file()
    assert "chat_template" not in json.loads((out / "tokenizer_config.json").read_text())
    assert (out / "tokenizer.json").read_bytes() == (folder / "two" / "tokenizer.json").read_bytes()


def test_turns_without_a_system_message(folder: Path, tmp_path: Path) -> None:
    wanted = {
        "mistral": "<s>[INST] hello [/INST] hi</s>",
        "exaone": "[|system|][|endofturn|]\n[|user|]hello\n[|assistant|]hi[|endofturn|]\n",
    }
    for style, text in wanted.items():
        tokenizer = load(run(folder, tmp_path / style, ("two", "none"), style))
        assert tokenizer.apply_chat_template(TALK[1:3], tokenize=False) == text


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("none", "one"), ONE),
        (("none", "one", "two", "also"), TWO),  # two have it, up to space around it
        (("one", "two"), ONE),  # among equals, the first
        (("two", "one"), TWO),
    ],
)
def test_the_most_common_one(names: tuple[str, ...], wanted: str, folder: Path, tmp_path: Path) -> None:
    out = run(folder, tmp_path / "out", names, "auto")
    assert load(out).chat_template == wanted


def test_none_at_all(folder: Path, tmp_path: Path) -> None:
    make_llama(tmp_path / "bare", word_tokenizer(words()), seed=9)
    recipe = write_recipe(
        tmp_path / "r.yaml",
        merge="soup",
        models=[folder / "none", tmp_path / "bare"],
        output={"path": tmp_path / "out", "chat_template": "auto"},
    )
    assert main(["run", str(recipe), "--quiet"]) == 0
    assert load(tmp_path / "out").chat_template is None


def test_a_template_of_the_recipe_with_a_tokenizer_of_another_model(folder: Path, tmp_path: Path) -> None:
    out = run(folder, tmp_path / "out", ("none", "two"), "{{ 'x' }}", tokenizer=str(folder / "two"))
    assert load(out).chat_template == "{{ 'x' }}"


def test_the_template_of_the_model_whose_tokenizer_it_is(folder: Path, tmp_path: Path) -> None:
    models = [folder / "one", folder / "none"]
    output = {"path": tmp_path / "out", "tokenizer": folder / "none"}
    recipe = write_recipe(tmp_path / "r.yaml", merge="soup", models=models, output=output)
    assert main(["run", str(recipe), "--quiet"]) == 0
    assert load(tmp_path / "out").chat_template is None
