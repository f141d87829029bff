"""What a recipe says of the output's tokenizer, as YAML and back; both grammars read it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UsageError
from ..section import Section
from .request import BASE, UNION, TokenizerRequest, TokenRule
from .template import check_template

KEYS = ("source", "tokens", "pad_to_multiple_of")
RULE_KEYS = ("source", "force")
TOKEN_KEYS = ("kind", "model", "token", "token_id")
KINDS = ("zero", "model_token")
MOST = 2**20  # rows beyond the last token, each as wide as the model
ReadModel = Callable[[Any, str, str], str]  # value, file:line:column, name of the file ▸ location


def read_tokenizer(section: Section, key: str, read_model: ReadModel | None = None) -> TokenizerRequest:
    """Read ``union``, ``base``, a model, or ``{source, tokens, pad_to_multiple_of}``.

    Args:
        section: The mapping in which it stands.
        key: Its key there.
        read_model: Reads what stands in the place of a model; by default, a text is expected.

    Raises:
        UsageError: Whatever is wrong with it, with its place.
    """
    read = read_model or _text
    value, where = section.mapping[key], section.where(key)
    if not isinstance(value, dict) or (read_model and "model" in value):
        return TokenizerRequest(_source(section, key, read), where=where)
    inner = section.section(key)
    inner.check_keys(KEYS)
    source = UNION if value.get("source") is None else _source(inner, "source", read)
    return TokenizerRequest(source, _rules(inner, read), _multiple(inner), where)


def read_chat_template(section: Section, key: str) -> str:
    """Read ``auto``, the name of a chat template, or a template.

    Raises:
        UsageError: There is no such template, or it is none that Jinja can read.
    """
    text = section.text(key, "")
    check_template(text, section.where(key))
    return text


def describe_tokenizer(request: TokenizerRequest, name_of_model: Callable[[str], str]) -> Any:
    """Return what `read_tokenizer` reads back to the same request, as plain data.

    Args:
        request: The request.
        name_of_model: What stands for a model, by its location: an absolute path, a content id.
    """
    source = request.source if request.source in (UNION, BASE) else name_of_model(request.source)
    if not request.tokens and request.pad_to_multiple_of is None:
        return source
    found: dict[str, Any] = {"source": source}
    if request.tokens:
        found["tokens"] = {token: _describe_rule(rule, name_of_model) for token, rule in request.tokens.items()}
    if request.pad_to_multiple_of is not None:
        found["pad_to_multiple_of"] = request.pad_to_multiple_of
    return found


def _multiple(section: Section) -> int | None:
    key = "pad_to_multiple_of"
    found = None if section.mapping.get(key) is None else section.whole_number(key, least=1)
    if found is not None and found > MOST:
        raise UsageError(f"'{key}' must be at most {MOST}, not {found}", where=section.where(key), hint="64 is usual")
    return found


def _source(section: Section, key: str, read: ReadModel) -> str:
    return read(section.mapping[key], section.where(key), section.name)


def _text(value: Any, where: str, name: str) -> str:
    if not isinstance(value, str) or not value:
        what = f"a model's location is expected, not {value!r}"
        raise UsageError(what, where=where, hint=f"a whole tokenizer's source may also be `{UNION}` or `{BASE}`")
    return str(value)


def _rules(section: Section, read: ReadModel) -> dict[str, TokenRule]:
    if section.mapping.get("tokens") is None:
        return {}
    tokens, found = section.section("tokens"), {}
    for token in tokens.mapping:
        if not isinstance(token, str) or not _is_valid(token):
            what = f"a token is a text, not {token!r}"
            raise UsageError(what, where=tokens.where(token), hint="quote it")
        found[str(token)] = _rule(tokens.section(token), tokens.where(token), read)
    return found


def _is_valid(token: str) -> bool:
    """Tell whether there is a text that can be written; YAML may escape half a surrogate pair."""
    return bool(token) and token == token.encode("utf-8", "ignore").decode()


def _rule(section: Section, where: str, read: ReadModel) -> TokenRule:
    section.check_keys(RULE_KEYS)
    if section.mapping.get("source") is None:
        hint = "name a model, {kind: zero}, or {kind: model_token, model, token or token_id}"
        raise UsageError("the rule says not where the token's row comes from", where=where, hint=hint)
    force = section.mapping.get("force", False)
    if not isinstance(force, bool):
        raise UsageError(f"'force' must be true or false, not {force!r}", where=section.where("force"))
    source = section.mapping["source"]
    if not isinstance(source, dict) or ("kind" not in source and read is not _text):
        return TokenRule("model", _source(section, "source", read), force=force, where=where)
    return _from_mapping(section.section("source"), force, where, read)


def _from_mapping(section: Section, force: bool, where: str, read: ReadModel) -> TokenRule:
    """Read ``{kind: zero}`` or ``{kind: model_token, model, token | token_id}``."""
    section.check_keys(TOKEN_KEYS, ("kind",))
    kind = section.mapping["kind"]
    if kind not in KINDS:
        what = f"'kind' must be one of {', '.join(KINDS)}, not {kind!r}"
        raise UsageError(what, where=section.where("kind"))
    given = [key for key in TOKEN_KEYS[1:] if section.mapping.get(key) is not None]
    if kind == "zero":
        if given:
            raise UsageError("a row of zeros comes from no model", where=section.where(given[0]), hint="leave it out")
        return TokenRule("zero", force=force, where=where)
    if len(given) != 2 or "model" not in given:
        what = "another token's row needs `model`, and either `token` or `token_id`"
        raise UsageError(what, where=section.where("kind"))
    number = section.whole_number("token_id", least=0) if "token_id" in given else None
    token = section.text("token", "") if number is None else number
    return TokenRule("token", _source(section, "model", read), token, force, where)


def _describe_rule(rule: TokenRule, name_of_model: Callable[[str], str]) -> dict[str, Any]:
    source: Any = {"kind": "zero"}
    if rule.kind == "model":
        source = name_of_model(rule.model)
    elif rule.kind == "token":
        key = "token_id" if isinstance(rule.token, int) else "token"
        source = {"kind": "model_token", "model": name_of_model(rule.model), key: rule.token}
    return {"source": source} | ({"force": True} if rule.force else {})
