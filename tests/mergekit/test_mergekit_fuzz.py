"""Whatever is in a recipe of mergekit: it is read and planned, or refused as a wrong request."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import save
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from merge.card import dump_yaml
from merge.errors import MergeError
from merge.grammar import parse_recipe
from merge.mergekit.methods import METHODS
from merge.plan import make_plan
from merge.recipe import Recipe

SETTINGS = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
NAMES = ("model.embed.weight", "model.layers.0.mlp.weight", "model.layers.1.mlp.weight", "model.layers.1.attn.weight")
TEMPLATE = """merge_method: ties
base_model: base.st
models:
  - model: a.st
    parameters: {weight: 0.5, density: [1, 0.7, 0.1]}
  - model: {model: {path: b.st}}
    parameters:
      weight: [{filter: mlp, value: [0.5, 1]}, {value: 0.3}]
parameters: {density: '1e-1', normalize: true, lambda: {filter: '*', value: 1.5}}
dtype: float16
"""
LAYERED = """name: deep
merge_method: passthrough
slices:
  - sources: [{model: a.st, layer_range: [0, 2]}]
  - sources: [{model: b.st, layer_range: [1, 2], parameters: {scale: [{filter: mlp, value: 0}, {value: 1}]}}]
---
merge_method: linear
modules:
  default:
    parameters: {weight: 0.5}
    slices:
      - sources: [{model: deep, layer_range: [0, 2], parameters: {weight: [1, 2]}}, {model: a.st, layer_range: [0, 2]}]
"""

_PARAMETERS = sorted({parameter.name for known in METHODS.values() for parameter in known.parameters})
_SCALARS = st.sampled_from(["a.st", "b.st", "base.st", "mlp", "*", "", "yes", "1e-3", 0, 1, 0.5, -1, True, None])
_SCALARS |= st.text(max_size=6) | st.integers() | st.floats() | st.dates()
_KEYS = st.sampled_from([*_PARAMETERS, "model", "parameters", "filter", "value", "path", "lora"]) | st.text(max_size=4)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=15
)
_CONDITIONS = st.lists(st.fixed_dictionaries({"value": _SCALARS}, optional={"filter": _SCALARS}), max_size=3)
_GIVEN = st.dictionaries(st.sampled_from(_PARAMETERS), _SCALARS | _CONDITIONS | _VALUES, max_size=4)
_FILES = st.sampled_from(["a.st", "b.st", "base.st"])
_MODEL = st.fixed_dictionaries({"model": _FILES | _VALUES}, optional={"parameters": _GIVEN | _VALUES})
_MODELS = st.lists(_MODEL, max_size=3) | _VALUES
_RANGES = st.lists(st.integers(-1, 3), min_size=2, max_size=2) | _VALUES
_SOURCE = st.fixed_dictionaries({"model": _FILES, "layer_range": _RANGES}, optional={"parameters": _GIVEN | _VALUES})
_SLICE = st.fixed_dictionaries(
    {"sources": st.lists(_SOURCE, max_size=3) | _VALUES},
    optional={"base_model": _FILES | _VALUES, "parameters": _GIVEN | _VALUES, "residual_weight": _SCALARS},
)
_SLICES = st.lists(_SLICE, max_size=3) | _VALUES
_MODULES = st.dictionaries(
    st.sampled_from(["default", "encoder", "model.layers"]),
    st.fixed_dictionaries({}, optional={"models": _MODELS, "slices": _SLICES, "parameters": _GIVEN | _VALUES}),
    max_size=2,
)
_METHODS = st.sampled_from(list(METHODS))
_OPTIONAL = {"base_model": _FILES | _VALUES, "parameters": _GIVEN | _VALUES, "dtype": _VALUES, "chat_template": _VALUES}
_OPTIONAL |= {"tokenizer": _VALUES, "tokenizer_source": _VALUES, "name": _VALUES}
_RECIPES = st.fixed_dictionaries({"merge_method": _METHODS | _VALUES, "models": _MODELS}, optional=_OPTIONAL)
_SOUND = {"base_model": _FILES, "parameters": _GIVEN}
_LAYERED = st.fixed_dictionaries({"merge_method": _METHODS, "slices": _SLICES}, optional=_SOUND)
_PARTED = st.fixed_dictionaries({"merge_method": _METHODS, "modules": _MODULES | _VALUES}, optional=_SOUND)


@pytest.fixture
def files(here: Path) -> Path:
    for number, name in enumerate(("base", "a", "b")):
        save(here / f"{name}.st", {key: torch.full((2, 2), float(number)) for key in NAMES})
    return here


def assert_planned_or_refused(text: str) -> bool:
    """Return whether it was planned."""
    try:
        recipe = parse_recipe(text, "old.yml", Path("nowhere"))
        assert isinstance(recipe, Recipe)
        make_plan(recipe).close()
    except MergeError as error:
        assert str(error)  # noqa: PT017 - both outcomes are allowed
        return False
    return True


@SETTINGS
@given(_RECIPES)
def test_structures(files, value):
    assert_planned_or_refused(dump_yaml(value))


@SETTINGS
@given(_LAYERED | _PARTED)
def test_layers_and_modules(files, value):
    assert_planned_or_refused(dump_yaml(value))


@SETTINGS
@given(st.lists(_RECIPES | _LAYERED, min_size=2, max_size=3))
def test_documents(files, values):
    assert_planned_or_refused("---\n".join(map(dump_yaml, values)))


@SETTINGS
@given(st.data())
def test_damaged_recipes(files, data):
    """A sound recipe with a stretch of it replaced."""
    start = data.draw(st.integers(0, len(TEMPLATE)))
    length = data.draw(st.integers(0, 12))
    inserted = data.draw(st.text(alphabet="abc019.,:-[]{}*&!|>'\"#%@`\n \t~?\\", max_size=6))
    assert_planned_or_refused(TEMPLATE[:start] + inserted + TEMPLATE[start + length :])


@SETTINGS
@given(st.sampled_from(list(METHODS)), st.lists(_FILES, min_size=1, max_size=3, unique=True), _GIVEN)
@example("linear", ["a.st"], {"weight": [{"filter": "mlp", "value": 1}]})
def test_every_method(files, method, models, given_):
    base = {} if method in {"linear", "karcher", "passthrough"} else {"base_model": "base.st"}
    listed = [{"model": model} for model in models]
    assert_planned_or_refused(dump_yaml({"merge_method": method, "models": listed, "parameters": given_, **base}))


@SETTINGS
@given(st.data())
def test_damaged_slices_and_documents(files, data):
    """The same with layers and a second document."""
    start = data.draw(st.integers(0, len(LAYERED)))
    length = data.draw(st.integers(0, 12))
    inserted = data.draw(st.text(alphabet="abc019.,:-[]{}*&!|>'\"#%@`\n \t~?\\", max_size=6))
    assert_planned_or_refused(LAYERED[:start] + inserted + LAYERED[start + length :])


def test_the_templates_are_sound(files):
    assert assert_planned_or_refused(TEMPLATE)
    assert assert_planned_or_refused(LAYERED)
