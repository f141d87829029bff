"""Chat templates: the built-in ones by name, those of the models, and whether a text is a template at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError, suggest
from .files import CONFIG, TEMPLATE, read_json

AUTO = "auto"
_FOLDER = Path(__file__).parent / "templates"


def template_names() -> list[str]:
    """Return the names of the built-in templates."""
    return sorted(path.stem for path in _FOLDER.glob("*.jinja"))


def is_named(text: str) -> bool:
    """Tell whether a text is meant as a name; a template has more than one line or something in braces."""
    return "{" not in text and "\n" not in text


def check_template(text: str, where: str | None = None) -> None:
    """Refuse what is neither ``auto``, nor the name of a template, nor a template.

    Raises:
        UsageError: With a suggestion, or what Jinja says of it.
    """
    if not is_named(text):
        _parse(text, where)
        return
    known = [AUTO, *template_names()]
    if text not in known:
        hint = suggest(text, known) or f"one of {', '.join(known)}, or a Jinja template"
        raise UsageError(f"unknown chat template '{text}'", where=where, hint=hint)


def chosen_template(text: str, folders: Sequence[Path]) -> str | None:
    """Return the template that a recipe asks for; None where ``auto`` finds none.

    Args:
        text: ``auto``, a name, or a template.
        folders: Of the models, the base's first.
    """
    if text == AUTO:
        return _most_common([found for folder in folders if (found := template_in(folder))])
    return (_FOLDER / f"{text}.jinja").read_text("utf-8") if is_named(text) else text


def template_in(folder: Path) -> str | None:
    """Return the chat template of a model's folder, the default one where it has several.

    Raises:
        MergeError: A file of it is broken.
    """
    if (folder / TEMPLATE).is_file():
        return (folder / TEMPLATE).read_text("utf-8")
    found = read_json(folder, CONFIG).get("chat_template")
    found = found or read_json(folder, "chat_template.json").get("chat_template")  # how processors used to keep it
    if isinstance(found, list):
        by_name = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = by_name.get("default")
    return found if isinstance(found, str) else None


def _most_common(found: Sequence[str]) -> str | None:
    """Return the template that most models have, up to space around it; among equals, that of the first model."""
    counts = Counter(text.strip() for text in found)
    best = max(counts, key=lambda text: counts[text], default=None)  # counts keep the order in which they were met
    return next((text for text in found if text.strip() == best), None)


def _parse(text: str, where: str | None) -> None:
    """Parse a template as the library that renders it does: sandboxed, with loop controls and a block of its own."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The block ``generation``, which marks what the assistant says."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> nodes.Node:
            """Return what is between the tags."""
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    environment = ImmutableSandboxedEnvironment(extensions=[Generation, loopcontrols])
    try:
        text.encode()
        environment.parse(text)
    except UnicodeEncodeError:
        raise UsageError("the chat template is no valid text", where=where, hint="half a surrogate pair") from None
    except RecursionError:
        raise UsageError("the chat template is nested too deeply to be read", where=where) from None
    except ValueError as error:  # a number of more digits than Python reads
        raise UsageError(f"the chat template is broken: {error}", where=where) from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        place = f" in its line {line}" if line else ""
        raise UsageError(f"the chat template is broken{place}: {error.message}", where=where) from None
