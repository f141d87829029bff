"""What every method file owes: options with edges, docs, a recipe, and no import that it has no business with."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from command_line import ROOT
from in_memory import merge_states, recipe_of
from registry_cases import METHODS, model_count, needs_base, state

import merge.methods
from merge.errors import UsageError
from merge.method import Method
from merge.options import REQUIRED, Declaration
from merge.plan import make_plan
from merge.registry import find_method

OPTIONS = [(name, option) for name in METHODS for option in find_method(name).options.declarations.values()]
NUMBERS = [(name, option) for name, option in OPTIONS if option.type in {int, float}]
FOLDER = Path(merge.methods.__path__[0])
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")


def ids(case: tuple[str, Declaration]) -> str:
    return f"{case[0]}.{case[1].name}"


def plan_with(method: str, option: Declaration, value: object):
    models = [state(seed) for seed in range(model_count(method))]
    base = state(9) if needs_base(method) else None
    if option.per_model:
        # A weight of 0 is sound as long as it is not every model's.
        values = [value, *[1.0] * (len(models) - 1)] if value == 0 and option.name == "weight" else value
        recipe = recipe_of(method, models, base, per_model={option.name: values})
    else:
        recipe = recipe_of(method, models, base, **{option.name: value})
    return make_plan(recipe)


def edges(option: Declaration) -> tuple[list[float], list[float]]:
    """Return values at the edges of the range that are accepted, and that are refused."""
    accepted = [limit for limit in (option.minimum, option.maximum) if limit is not None]
    refused = [limit for limit in (option.above,) if limit is not None]
    refused += [option.minimum - 1] if option.minimum is not None else []
    refused += [option.maximum + 1e-9] if option.maximum is not None else []
    return accepted, [*refused, float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("case", NUMBERS, ids=ids)
def test_range_edges(case):
    method, option = case
    accepted, refused = edges(option)
    for value in accepted:
        plan_with(method, option, value)
    for value in refused:
        with pytest.raises(UsageError, match=option.name):
            plan_with(method, option, value)


@pytest.mark.parametrize("case", OPTIONS, ids=ids)
def test_values_of_another_type_are_refused(case):
    method, option = case
    wrong = {bool: [1, "yes", 0.0], int: ["1", 1.5, True], float: ["1", True], str: [1, True]}
    for value in (*wrong[option.type], {"a": 1}, []):
        with pytest.raises(UsageError):
            plan_with(method, option, value)


@pytest.mark.parametrize("case", [(n, o) for n, o in OPTIONS if o.choices], ids=ids)
def test_choices(case):
    method, option = case
    for word in option.choices:
        plan_with(method, option, word)
    with pytest.raises(UsageError, match="did you mean"):
        plan_with(method, option, option.choices[0] + "s")


@pytest.mark.parametrize("case", OPTIONS, ids=ids)
def test_defaults_are_in_range_and_options_are_explained(case):
    _, option = case
    default = option.default(3) if callable(option.default) else option.default
    if default is None or default is REQUIRED:
        return
    assert option.check(default) == default
    assert option.help.endswith(".")
    assert option.schema()["description"].startswith(option.help)


@pytest.mark.parametrize("method", METHODS)
def test_too_few_models_are_refused(method):
    found = find_method(method)
    base = state(9) if needs_base(method) else None
    with pytest.raises(UsageError, match="merges"):
        merge_states(method, [state(1)] * (found.minimum_models - 1), base)


@pytest.mark.parametrize("method", [name for name in METHODS if needs_base(name)])
def test_task_vectors_need_a_base(method):
    with pytest.raises(UsageError, match="--base"):
        merge_states(method, [state(seed) for seed in range(model_count(method))])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_recipe_and_docs(method):
    assert (ROOT / "recipes" / f"{method}.yaml").is_file()
    from docs.reference import method_page

    page = ROOT / "docs" / "methods" / f"{method}.md"
    assert page.read_text("utf-8") == method_page(method), "run: python -m docs.reference"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_module_is_one_method_with_its_name(path):
    method = find_method(path.stem)
    assert method.name == path.stem.replace("_", "-")
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    assert [node.name for node in classes if {"Method", "WeightedSum"} & set(map(ast.unparse, node.bases))] == [
        type(method).__name__
    ]
    assert isinstance(method, Method)
    assert len(path.read_text().splitlines()) <= 120


@pytest.mark.parametrize("method", METHODS)
def test_the_docstring_names_paper_and_formula(method):
    text = inspect.getmodule(type(find_method(method))).__doc__
    assert "arXiv:" in text
    assert "theta" in text
