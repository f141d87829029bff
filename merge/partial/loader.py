"""The file ``load.py`` beside weights that no configuration describes: it builds their network and widens it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

NAME = "load.py"
LAYERS = "resized_layers.py"
_HERE = Path(__file__).parent


class OwnClass(NamedTuple):
    """A network's class of the user's own.

    Attributes:
        file: Name of its file.
        name: Of the class, which is made without arguments.
        source: The file's text.
    """

    file: str
    name: str
    source: str


def loader_files(config: Mapping[str, Any], own: OwnClass | None, *, is_open_clip: bool) -> dict[str, bytes]:
    """Return the files that load a wide network, by name; none where nothing says what it is.

    Args:
        config: The config.json of its folder, empty where it has none.
        own: Its class, where it is no library's.
        is_open_clip: Whether its folder has a configuration of open_clip.
    """
    kind = _kind(config, own, is_open_clip)
    if not kind:
        return {}
    about = own._asdict() if own is not None else {}
    files = {NAME: _rendered(kind, about), LAYERS: resized_layers()}
    files |= {own.file: own.source} if own is not None else {}
    return {name: content.encode() for name, content in files.items()}


def _kind(config: Mapping[str, Any], own: OwnClass | None, is_open_clip: bool) -> str:
    if own is not None:
        return "own"
    if is_open_clip:
        return "open_clip"
    return (
        "timm" if isinstance(config.get("architecture"), str) else "transformers" if config.get("architectures") else ""
    )


def _rendered(kind: str, about: Mapping[str, str]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 -- Python code, no HTML
        loader=FileSystemLoader(_HERE / "loaders"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("load.jinja").render(kind=kind, **about)


def resized_layers() -> str:
    """Return the source of what gives layers other sizes, which needs nothing but torch."""
    return (_HERE.parent / "evaluation" / "networks" / LAYERS).read_text("utf-8")
