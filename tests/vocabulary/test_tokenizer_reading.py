"""The tokenizer of a recipe: read from YAML, described back, and refused with the place of what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from merge.errors import UsageError
from merge.section import parse_section
from merge.vocabulary.reading import describe_tokenizer, read_chat_template, read_tokenizer
from merge.vocabulary.request import TokenRule

RULES = """
source: ./a
tokens:
  <z>: {source: {kind: zero}}
  <m>: {source: ./b, force: true}
  <t>: {source: {kind: model_token, model: ./b, token: "<x>"}}
  "7": {source: {kind: model_token, model: ./b, token_id: 0}}
pad_to_multiple_of: 64
"""


def section(value: str) -> Any:
    indented = value.replace("\n", "\n  ")
    return parse_section(f"output:\n  {indented}" if "\n" in value else f"output: {value}", "r.yaml")


@pytest.mark.parametrize("source", ["union", "base", "./model"])
def test_a_text_is_the_source(source: str) -> None:
    request = read_tokenizer(section(source), "output")
    assert (request.source, request.tokens, request.pad_to_multiple_of) == (source, {}, None)
    assert describe_tokenizer(request, str.upper) == (source.upper() if source == "./model" else source)


def test_a_mapping_is_read_and_described_back() -> None:
    request = read_tokenizer(section(RULES), "output")
    assert request.source == "./a"
    assert request.pad_to_multiple_of == 64
    plain = {token: (rule.kind, rule.model, rule.token, rule.force) for token, rule in request.tokens.items()}
    assert plain == {
        "<z>": ("zero", "", None, False),
        "<m>": ("model", "./b", None, True),
        "<t>": ("token", "./b", "<x>", False),
        "7": ("token", "./b", 0, False),
    }
    found = describe_tokenizer(request, lambda location: f"/at{location}")
    assert found == {
        "source": "/at./a",
        "tokens": {
            "<z>": {"source": {"kind": "zero"}},
            "<m>": {"source": "/at./b", "force": True},
            "<t>": {"source": {"kind": "model_token", "model": "/at./b", "token": "<x>"}},
            "7": {"source": {"kind": "model_token", "model": "/at./b", "token_id": 0}},
        },
        "pad_to_multiple_of": 64,
    }


def test_the_union_is_the_source_by_default() -> None:
    assert read_tokenizer(section("{pad_to_multiple_of: 16}"), "output").source == "union"
    nothing = read_tokenizer(section("{source: null, tokens: null, pad_to_multiple_of: null}"), "output")
    assert describe_tokenizer(nothing, str) == "union"


def test_another_grammar_reads_models_in_its_own_way() -> None:
    def read(value: Any, where: str, name: str) -> str:
        return value if isinstance(value, str) else f"{value['model']}@{where}"

    request = read_tokenizer(section("{source: {model: a}, tokens: {b: {source: {model: c}}}}"), "output", read)
    assert request.source == "a@r.yaml:1:10"
    assert request.tokens["b"] == TokenRule("model", "c@r.yaml:1:43", where="r.yaml:1:39")
    assert read_tokenizer(section("{model: a}"), "output", read).source == "a@r.yaml:1:1"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("3", "r.yaml:1:1: a model's location is expected, not 3"),
        ("[a]", "r.yaml:1:1: a model's location is expected"),
        ("{sorce: a}", "r.yaml:1:10: unknown key 'sorce' (did you mean 'source'?)"),
        ("{source: {kind: zero}}", "r.yaml:1:10: a model's location is expected"),
        ("{pad_to_multiple_of: 0}", "r.yaml:1:10: 'pad_to_multiple_of' must be a whole number from 1"),
        ("{pad_to_multiple_of: 1.5}", "r.yaml:1:10: 'pad_to_multiple_of' must be a whole number"),
        ("{pad_to_multiple_of: 100000000000000}", "r.yaml:1:10: 'pad_to_multiple_of' must be at most 1048576"),
        ("{tokens: {'': {source: a}}}", "r.yaml:1:19: a token is a text, not ''"),
        ('{tokens: {"\\ud800": {source: a}}}', "r.yaml:1:19: a token is a text"),
        ("{tokens: [a]}", "r.yaml:1:10: 'tokens' must be a mapping"),
        ("{tokens: {3: {source: a}}}", "r.yaml:1:19: a token is a text, not 3 (quote it)"),
        ("{tokens: {a: b}}", "r.yaml:1:19: 'a' must be a mapping"),
        ("{tokens: {a: {}}}", "r.yaml:1:19: the rule says not where the token's row comes from"),
        ("{tokens: {a: {force: true}}}", "r.yaml:1:19: the rule says not where"),
        ("{tokens: {a: {source: b, forse: true}}}", "unknown key 'forse' (did you mean 'force'?)"),
        ("{tokens: {a: {source: b, force: 1}}}", "'force' must be true or false, not 1"),
        ("{tokens: {a: {source: {model: b}}}}", "the key 'kind' is missing"),
        ("{tokens: {a: {source: {kind: none}}}}", "'kind' must be one of zero, model_token, not 'none'"),
        ("{tokens: {a: {source: {kind: zero, model: b}}}}", "a row of zeros comes from no model"),
        ("{tokens: {a: {source: {kind: model_token, model: b}}}}", "needs `model`, and either `token` or `token_id`"),
        ("{tokens: {a: {source: {kind: model_token, token: b}}}}", "needs `model`, and either"),
        ("{tokens: {a: {source: {kind: model_token, model: b, token: c, token_id: 1}}}}", "either `token` or"),
        ("{tokens: {a: {source: {kind: model_token, model: b, token_id: -1}}}}", "'token_id' must be a whole number"),
        ("{tokens: {a: {source: {kind: model_token, model: b, token: 5}}}}", "'token' must be a text"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_tokenizer(section(value), "output")
    assert message in str(raised.value)
    assert str(raised.value).startswith("r.yaml:1:")


@pytest.mark.parametrize("text", ["auto", "chatml", "llama3", "mistral", "alpaca", "exaone"])
def test_templates_by_name(text: str) -> None:
    assert read_chat_template(section(text), "output") == text


def test_a_template_may_use_what_transformers_knows() -> None:
    inner = "{% if m.skip %}{% continue %}{% endif %}{% generation %}{{ m }}{% endgeneration %}"
    text = f"{{% for m in messages %}}{inner}{{% endfor %}}"
    assert read_chat_template(section(f"'{text}'"), "output") == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("chatlm", "unknown chat template 'chatlm' (did you mean 'chatml'?)"),
        ("nothing-like-it", "one of auto, alpaca, chatml, exaone, llama3, mistral, or a Jinja template"),
        ("5", "'output' must be a text"),
        ("'{% for m in %}'", "the chat template is broken in its line 1: Expected an expression"),
        ("'{{ messages'", "the chat template is broken"),
        ("'{{" + "(" * 3000 + ")" * 3000 + "}}'", "nested too deeply"),
        ('"\\ud800{{ x }}"', "no valid text"),
        ("'{{ " + "9" * 5000 + " }}'", "the chat template is broken: Exceeds the limit (4300 digits)"),
    ],
)
def test_broken_templates_are_refused_with_their_place(value: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_chat_template(section(value), "output")
    assert message in str(raised.value)
    assert str(raised.value).startswith("r.yaml:1:1: ")
