"""Who may know whom: read from the source, so that an import inside a function counts too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from command_line import ROOT

PACKAGE = ROOT / "merge"
HEAVY = {"torch", "transformers", "open_clip", "scipy", "sklearn", "matplotlib", "jinja2", "pydantic"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Return the absolute names of all modules that a file imports."""
    tree = ast.parse(path.read_text("utf-8"))
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    nodes = _outside_functions(tree) if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*start, *([node.module] if node.module else [])])
            found |= {name} | {f"{name}.{alias.name}" for alias in node.names}
    return found


def _outside_functions(tree: ast.AST):
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not _is_typing_only(node):
            yield node
            yield from _outside_functions(node)


def _is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


METHOD_FILES = sorted((PACKAGE / "methods").glob("*.py"))
CORE = [PACKAGE / "engine.py", *sorted((PACKAGE / "streaming").glob("*.py"))]
# Networks are classes of torch and transformers; whoever needs one imports it inside a function.
NETWORKS = ("merge.bundles.blending", "merge.bundles.mixture")
PATH_OF_A_MERGE = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in {"evaluation", "reports", "demo"}
    and path.name != "torch_backend.py"
    and not within(module_of(path), *NETWORKS)
)


@pytest.mark.parametrize("path", METHOD_FILES, ids=lambda path: path.stem)
def test_methods_know_no_files_and_no_terminal(path):
    forbidden = (
        "merge.checkpoints",
        "merge.streaming",
        "merge.engine",
        "merge.planning",
        "merge.commands",
        "merge.cli",
    )
    for name in imports(path):
        assert not within(name, *forbidden, "typer", "rich", "numpy", "torch", "os", "pathlib", "io"), name


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_engine_knows_no_method(path):
    for name in imports(path):
        assert not within(name, "merge.methods", "merge.registry", "merge.commands", "merge.cli", "typer", "rich"), name


@pytest.mark.parametrize("path", sorted((PACKAGE / "checkpoints").glob("*.py")), ids=lambda path: path.stem)
def test_checkpoints_know_no_command_line(path):
    for name in imports(path):
        assert not within(name, "merge.methods", "merge.engine", "merge.commands", "merge.cli", "typer", "rich"), name


@pytest.mark.parametrize("path", PATH_OF_A_MERGE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_heavy_is_imported_before_it_is_needed(path):
    found = imports(path, top_level_only=True)
    assert not {name.split(".")[0] for name in found} & HEAVY
    assert not [name for name in found if within(name, *NETWORKS)]


def test_this_test_sees_relative_imports():
    found = imports(PACKAGE / "methods" / "ties.py")
    assert "merge.reduction.Largest" in found
    assert "merge.streaming.pieces" in imports(PACKAGE / "engine.py")
