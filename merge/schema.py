"""JSON Schemas: of recipes, for completion in editors, and of what the commands print with ``--json``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .bundles.rule import Rule
from .bundles.rules import find_rule, rule_names
from .method import Method
from .options import Declaration
from .recipe import OVERFLOWS, POLICIES, ROUNDINGS
from .registry import usable_methods

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string", "minLength": 1}
_MARK = {"$ref": "#/$defs/searched"}
_ORDER_FILES = {
    "groups": {**_TEXT, "description": "File that says which axes carry the same units."},
    "permutations": {**_TEXT, "description": "File with the orders; then none are found."},
}
_SEARCHED = {
    "type": "object",
    "description": "Stands open: `merge search` tries numbers from low to high.",
    "properties": {
        "search": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "log": {"type": "boolean", "description": "Spread the numbers evenly over their logarithms."},
        "step": {"type": "number", "exclusiveMinimum": 0, "description": "Try low, low + step, low + 2 step … only."},
    },
    "required": ["search"],
    "additionalProperties": False,
}


def recipe_schema() -> dict[str, Any]:
    """Return the schema of a recipe: one branch per method, since options belong to methods."""
    methods, _ = usable_methods()
    branches = [_merge_branch(method, nested=False) for method in methods]
    branches += [_bundle_branch(find_rule(name)) for name in rule_names()]
    nested = [_merge_branch(method, nested=True) for method in methods]
    return {
        "$schema": _DIALECT,
        "title": "Recipe of merge",
        "oneOf": branches,
        "$defs": {"nested": {"oneOf": [*nested, _alignment()]}, "searched": _SEARCHED},
    }


def _alignment() -> dict[str, Any]:
    """Return the schema of a model whose units are brought into another's order."""
    from .alignment.declared import AlignmentOptions

    options = {name: one.schema() for name, one in AlignmentOptions.declarations.items()} | _ORDER_FILES
    return {
        "type": "object",
        "properties": {
            "align": _TEXT,
            "to": _TEXT,
            "data": _TEXT,
            "options": {"type": "object", "properties": options, "additionalProperties": False},
        },
        "required": ["align", "to"],
        "additionalProperties": False,
    }


def _merge_branch(method: Method, *, nested: bool) -> dict[str, Any]:
    name, declared = method.name, method.options.declarations
    shared = {key: _option(one) for key, one in declared.items() if not one.per_model or one.shared}
    shared |= {key: one.schema() for key, one in method.calibration.declarations.items()}
    shared |= _ORDER_FILES if method.aligns else {}
    beside = {key: _option(one) for key, one in declared.items() if one.per_model}
    options = {"type": "object", "properties": shared, "additionalProperties": False}
    models: dict[str, Any] = {
        "type": "array",
        "items": _model(beside | _learned(method)),
        "minItems": method.minimum_models,
    }
    if method.maximum_models is not None:
        models["maxItems"] = method.maximum_models
    properties: dict[str, Any] = {
        "merge": {"enum": sorted({name, name.replace("-", "_")}), "description": method.summary},
        "base": {"anyOf": [_TEXT, _model({})]},
        "models": models,
        "options": options,
        "layers": {"type": "array", "items": _layer(options, beside)},
        "then": {"type": "array", "items": {"anyOf": [_TEXT, {"type": "object", "maxProperties": 1}]}},
    }
    if method.assembles:
        del properties["layers"]
    properties |= {"data": _TEXT} if method.statistics or method.aligns else {}
    required = ["merge", "models"] + (["base"] if method.needs_base and not nested else [])
    more = {} if nested else _top()
    return {
        "type": "object",
        "properties": properties | more,
        "required": required,
        "additionalProperties": False,
    }


def _bundle_branch(rule: Rule) -> dict[str, Any]:
    """Return the schema of a recipe that writes a bundle."""
    declared = rule.options.declarations
    shared = {key: one.schema() for key, one in declared.items() if not one.per_model or one.shared}
    beside = {key: one.schema() for key, one in declared.items() if one.per_model}
    model = {"type": "object", "properties": {"model": _TEXT} | beside, "required": ["model"]}
    models: dict[str, Any] = {
        "type": "array",
        "items": {"anyOf": [_TEXT, model | {"additionalProperties": False}]},
        "minItems": rule.minimum_models,
    }
    if rule.maximum_models is not None:
        models["maxItems"] = rule.maximum_models
    properties: dict[str, Any] = {
        "merge": {"enum": sorted({rule.name, rule.name.replace("-", "_")}), "description": rule.summary},
        "models": models,
        "options": {"type": "object", "properties": shared, "additionalProperties": False},
    }
    heeded = {key: value for key, value in _top().items() if key in ("seed", "output", "evaluate", "report", "name")}
    return {
        "type": "object",
        "properties": properties | heeded,
        "required": ["merge", "models"],
        "additionalProperties": False,
    }


def _learned(method: Method) -> dict[str, Any]:
    """Return what stands beside a model of a method that learns from data: its statistics, or the data."""
    if not method.statistics:
        return {}
    return {"data": _TEXT} | ({} if method.sequential else {method.statistics: _TEXT})


def _option(option: Declaration) -> dict[str, Any]:
    """Return the schema of an option: a value, or a mark for the search where numbers are expected."""
    found = option.schema()
    if option.type not in {int, float}:
        return found
    about = found.pop("description")
    choices = found.get("anyOf", [found])
    courses = [{**one, "items": {"anyOf": [one["items"], _MARK]}} if "items" in one else one for one in choices]
    return {"anyOf": [*courses, _MARK], "description": about}


def _model(beside: dict[str, Any]) -> dict[str, Any]:
    nested = {"$ref": "#/$defs/nested"}
    placed = {
        "type": "object",
        "properties": {"model": {"anyOf": [_TEXT, nested]}} | beside,
        "required": ["model"],
        "additionalProperties": False,
    }
    return {"anyOf": [_TEXT, placed, nested]}


def _layer(options: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    models = {"type": "array", "items": {"type": "object", "properties": beside, "additionalProperties": False}}
    properties = {"match": _TEXT, "options": options, "models": models, "keep": {"const": "base"}}
    return {"type": "object", "properties": properties, "required": ["match"], "additionalProperties": False}


def _top() -> dict[str, Any]:
    texts = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
    policy = {"enum": list(POLICIES), "default": "error"}
    output = {
        "type": "object",
        "properties": {
            "path": _TEXT,
            "dtype": _TEXT,
            "overflow": {"enum": list(OVERFLOWS), "default": "error"},
            "rounding": {"enum": list(ROUNDINGS), "default": "nearest"},
            "max_shard_size": {"type": ["string", "integer"]},
            "tokenizer": _tokenizer(),
            "chat_template": {**_TEXT, "description": "auto, the name of a chat template, or a template."},
        },
        "additionalProperties": False,
    }
    return {
        "keep": texts,
        "missing": policy,
        "mismatch": policy,
        "seed": {"type": "integer", "minimum": 0},
        "output": {"anyOf": [_TEXT, output]},
        "evaluate": texts,
        "report": _TEXT,
        "name": _TEXT,
    }


def _tokenizer() -> dict[str, Any]:
    """Return the schema of the output's tokenizer."""
    model = {**_TEXT, "description": "union, base, or a model whose tokenizer it is."}
    zero = {"type": "object", "properties": {"kind": {"const": "zero"}}, "required": ["kind"]}
    other = {
        "kind": {"const": "model_token"},
        "model": _TEXT,
        "token": _TEXT,
        "token_id": {"type": "integer", "minimum": 0},
    }
    token = {"type": "object", "properties": other, "required": ["kind", "model"]}
    closed = [one | {"additionalProperties": False} for one in (zero, token)]
    rule = {
        "type": "object",
        "properties": {"source": {"anyOf": [_TEXT, *closed]}, "force": {"type": "boolean"}},
        "required": ["source"],
        "additionalProperties": False,
    }
    padded = {"type": "integer", "minimum": 1}
    keys = {"source": model, "tokens": {"type": "object", "additionalProperties": rule}, "pad_to_multiple_of": padded}
    return {"anyOf": [model, {"type": "object", "properties": keys, "additionalProperties": False}]}


def _printed(name: str) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        from pydantic import TypeAdapter

        from . import documents

        return TypeAdapter(documents.DOCUMENTS[name]()).json_schema()

    return make


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {"recipe": recipe_schema} | {
    name: _printed(name)
    for name in (
        "plan",
        "merge",
        "inspect",
        "diff",
        "verify",
        "eval",
        "report",
        "barrier",
        "barrier-matrix",
        "calibrate",
        "bundle",
        "push",
        "adapters",
        "extract-lora",
    )
}
