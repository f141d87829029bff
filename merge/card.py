"""The model card: what was merged from where, as a recipe that can be run again.

It is the only place that holds locations. Local ones are written relative to the card, so that a tree of
checkpoints can move as a whole.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .checkpoints.address import OutputPath
from .checkpoints.bringing import companion_of
from .checkpoints.checkpoint import Source
from .checkpoints.companions import CARD
from .checkpoints.components.part import library_of
from .checkpoints.derived import whole
from .checkpoints.remote.reference import hub_reference
from .checkpoints.resolve import local_path, with_adapter
from .checkpoints.strength import without_strength
from .errors import MergeError, printable
from .plan import Plan
from .planning.layout import is_single_file
from .provenance import TOOL, described

MARK = "<!-- written by merge -->"
_MARKUP = re.compile(r"<|(?<=\])[(\[]")  # what begins HTML, or the address of a link
_RECIPE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def card_path(out: OutputPath) -> OutputPath:
    """Return where the card of an output lies: README.md inside a folder, ``NAME.md`` beside a file."""
    return out.with_name(out.name + ".md") if is_single_file(out) else out / CARD


def render_card(plan: Plan, out: OutputPath, input_ids: list[str], output_id: str, facts: list[str]) -> str:
    """Return the card's Markdown.

    Args:
        plan: The plan that was run.
        out: Where the output goes.
        input_ids: Content ids of the sources.
        output_id: Content id of the output.
        facts: Warnings and hashes, one line each.
    """
    names = [_name(source, plan, out) for source in plan.sources]
    lines = ["---", *_front_matter(plan), "---", MARK, "", f"# {plan.recipe.name or out.stem}", ""]
    lines += [f"Merged by {TOOL}. `merge verify {_shown(out)}` repeats it and compares.", "", "## Models", ""]
    lines += ["| role | model | content id |", "|---|---|---|"]
    lines += [
        f"| {role or 'model'} | `{name}` | `{identity}` |"
        for role, name, identity in zip(plan.roles, names, input_ids, strict=True)
    ]
    lines += [f"| output | `{out.name}` | `{output_id}` |", "", "## Recipe", ""]
    lines += ["```yaml", dump_yaml(_recipe(plan, names, out)).rstrip(), "```", ""]
    return "\n".join([*lines, *note_lines(facts)])


def note_lines(notes: Sequence[str]) -> list[str]:
    """Return the lines of a card with notes, none where there are none.

    Names of tensors and files stand in them, which may be anybody's: they begin no element of HTML, no link and no
    further line.
    """
    plain = [_MARKUP.sub(r"\\\g<0>", printable(note)) for note in notes]
    return ["## Notes", "", *(f"- {note}" for note in plain), ""] if notes else []


def _shown(out: OutputPath) -> str:
    return out.name if isinstance(out, Path) else str(out)


def _name(source: Source, plan: Plan, out: OutputPath) -> str:
    """Return what the card calls a source; for a part of a checkpoint, after the checkpoint's place."""
    model = whole(source)  # of a model with an adapter both, base+adapter
    place = relative_location(getattr(model, "origin", None) or model.location, plan, out)
    return source.location.replace(model.location, place, 1)


def _recipe(plan: Plan, names: list[str], out: OutputPath) -> dict[str, Any]:
    return described(plan, names, lambda location: relative_location(location, plan, out))


def _front_matter(plan: Plan) -> list[str]:
    lines = [*_base_models(plan), "tags:", "- merge"]
    reference = plan.sources[plan.reference]
    path = plan.recipe.output.path
    library = None if path is not None and is_single_file(path) else library_of(reference)
    library = library or ("transformers" if reference.config.get("architectures") else None)
    lines += [f"library_name: {library}"] if library else []
    return [*lines, *licence_lines(plan.sources)]


def licence_lines(sources: Iterable[Source]) -> list[str]:
    """Return the lines of a card's front matter that state the licences of what went in."""
    licences = sorted({found for source in sources if (found := _licence(companion_of(source, CARD)))})
    if len(licences) == 1:
        return [f"license: {licences[0]}"]
    return ["license: other", f"license_name: {' and '.join(licences)}"] if licences else []


def _base_models(plan: Plan) -> list[str]:
    """Return the lines that tell the hub which of its models went in."""
    origins = [getattr(whole(source), "origin", None) or "" for source in plan.sources]
    ids = [hub_reference(without_strength(half)[0]) for origin in origins for half in origin.split("+")]
    names = dict.fromkeys(hub_id.repository for hub_id in ids if hub_id)
    return ["base_model:", *(f"- {name}" for name in names), "base_model_relation: merge"] if names else []


def _licence(path: Path | None) -> str | None:
    """Return the licence that a model's own card states in its front matter."""
    if path is None:
        return None
    text = path.read_text("utf-8", "replace")
    front = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
    match = re.search(r"^license:\s*([\w.\-]+)\s*$", front, re.MULTILINE)
    return match[1] if match else None


def relative_location(location: str, plan: Plan, out: OutputPath) -> str:
    """Return a local path as the card names it, ``./`` in front; both where an adapter follows a plus."""
    halves = with_adapter(location, plan.recipe.folder)
    if halves is not None:
        base, adapter = (relative_location(half, plan, out) for half in (halves.base, halves.adapter))
        return f"{base}+{adapter}{halves.strength}"
    path = local_path(location, plan.recipe.folder)
    return relative_path(path, out) if path.exists() else location


def relative_path(path: Path, out: OutputPath) -> str:
    """Return a path relative to the folder of an output's card, ``./`` in front.

    From a card elsewhere no path leads to this machine: there it is relative to the current folder, in which
    `merge verify` looks for it again. An absolute path would only tell how this machine is laid out.
    """
    folder = card_path(out).parent
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve() if isinstance(folder, Path) else Path.cwd())
    except (ValueError, FileNotFoundError):  # another drive; or the current folder was removed
        return str(path.resolve())
    return relative if relative.startswith(".") else f"./{relative}"


def dump_yaml(value: Any) -> str:
    """Return YAML in block style, keys in the order of the mapping."""
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def recipe_text(path: Path | None, where: str) -> str:
    """Return the recipe in an output's card.

    Args:
        path: Of the card; None where there is none.
        where: What stands for it in messages.

    Raises:
        MergeError: When there is no card, or no recipe in it.
    """
    if path is None or not path.is_file():
        what = "there is no model card, which says where the inputs are"
        raise MergeError(what, where=where, hint="merge again with --force, or put the card back")
    match = _RECIPE.search(path.read_text("utf-8", "replace"))
    if match is None:
        raise MergeError("the model card holds no recipe", where=where)
    return match[1]
