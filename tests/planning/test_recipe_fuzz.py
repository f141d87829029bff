"""Whatever is in a recipe: it is read, or refused as a wrong request. Nothing else may come out."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from merge.card import dump_yaml
from merge.errors import MergeError
from merge.grammar import RECIPE_KEYS, parse_recipe
from merge.plan import make_plan
from merge.recipe import Recipe

KEYS = st.sampled_from(
    [*RECIPE_KEYS, "model", "weight", "match", "path", "dtype", "max_shard_size", "density", "scale", "data"]
)
WORDS = ["soup", "ties", "task-arithmetic", "a.st", "b.st", "base", "skip", "bf16", "5GB", "*", "/x/", "", "layers.0"]
SCALARS = st.one_of(
    st.sampled_from(WORDS), st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.integers() | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)
MODELS = st.lists(st.sampled_from(["a.st", "b.st"]) | VALUES, max_size=4)
NEARLY = st.fixed_dictionaries(
    {"merge": st.sampled_from(["soup", "ties", "task-arithmetic"]) | VALUES, "models": MODELS | VALUES},
    optional={key: VALUES for key in RECIPE_KEYS if key not in {"merge", "models"}},
)
SETTINGS = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def assert_read_or_refused(text: str, overrides: tuple[str, ...] = ()) -> None:
    try:
        recipe = parse_recipe(text, "recipe.yaml", Path("nowhere"), overrides)
    except MergeError as error:
        assert str(error)  # noqa: PT017 - both outcomes are allowed
        return
    assert isinstance(recipe, Recipe)
    try:
        make_plan(recipe).close()  # no model is there, so this ends in an error of ours
    except MergeError as error:
        assert "\n" not in str(error).split(": ")[0]  # noqa: PT017


@SETTINGS
@given(NEARLY | VALUES)
def test_structures(value):
    assert_read_or_refused(dump_yaml(value))


@SETTINGS
@given(st.text(max_size=200))
@example("merge: soup\nmodels: [a, &x [*x]]")
@example("? [a, b]\n: c\nmerge: soup")
@example("merge: !!python/object:os.system soup\nmodels: [a, b]")
@example("merge: !!binary aGVsbG8=\nmodels: [a, b]")
@example("<<: *nothing\nmerge: soup")
@example("<<: {merge: soup}\nmodels: [a, b]")
@example("merge: soup\nmodels: [a, b]\nseed: 0x_\n")
@example("merge: 2001-13-45\n")
@example("merge: soup\nmodels: &m\n- a\n- merge: soup\n  models: *m\n")
@example("&a merge: soup\nmodels: [*a, *a]\nbase: &b {merge: soup, models: [x, y], base: *b}\n")
def test_text(text):
    assert_read_or_refused(text)


TEMPLATE = """merge: ties
base: base.st
models:
  - {model: a.st, weight: 0.5}
  - {merge: soup, models: [b.st, c.st]}
options: {density: [0.2, 0.6], scale: 1.0}
layers:
  - {match: "*.mlp.*", options: {density: 0.3}}
  - {match: lm_head, keep: base}
then:
  - task-arithmetic: {scale: 0.5}
output: {path: out.st, dtype: bf16, max_shard_size: 5GB}
"""


@SETTINGS
@given(st.data())
def test_damaged_recipes(data):
    """A sound recipe with a stretch of it replaced."""
    start = data.draw(st.integers(0, len(TEMPLATE)))
    length = data.draw(st.integers(0, 12))
    inserted = data.draw(st.text(alphabet="abc019.,:-[]{}*&!|>'\"#%@`\n \t~?\\", max_size=6))
    assert_read_or_refused(TEMPLATE[:start] + inserted + TEMPLATE[start + length :])


@SETTINGS
@given(
    st.text(max_size=30)
    | st.builds(
        "{}={}".format,
        st.sampled_from(["models.0", "options.density", "output.path", "then.0.x", "base.a.b"]),
        st.text(max_size=10),
    )
)
def test_overrides(setting):
    assert_read_or_refused(TEMPLATE, (setting,))


def test_the_template_is_sound():
    recipe = parse_recipe(TEMPLATE, "recipe.yaml")
    assert recipe.merge.method == "ties"
    assert YAML(typ="safe").load(TEMPLATE)["merge"] == "ties"
