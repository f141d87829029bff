"""The command line: finds the command, runs it, turns errors into one line and an exit code.

Commands are built when they are asked for, so that ``merge soup`` pays for no other command. Exit codes: 0 done,
1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import commands
from .bundles.rules import find_rule, rule_names
from .errors import MergeError, UsageError, printable, suggest
from .registry import canonical, find_method, usable_methods
from .standard_streams import fill_standard_streams, give_up_output
from .unknown_option import told
from .version import __version__

INTERRUPTED = 130
_FIRST = "demo"
PROGRAMS = ("merge", "merge-checkpoints")
# Modules of merge.commands that are no commands.
_HELPERS = {
    "adapters_outcome",
    "adapters_request",
    "adjusting",
    "adjusting_request",
    "aligned_outputs",
    "aligning",
    "alignment_flags",
    "alone",
    "barrier_run",
    "barrier_view",
    "block_flags",
    "bundle_flags",
    "bundle_recipe",
    "bundling",
    "calibrating",
    "candidates",
    "flags",
    "hidden_flags",
    "merging",
    "method",
}
_HELPERS |= {
    "missing_statistics",
    "own_flags",
    "ranges",
    "resetting",
    "search_outcome",
    "search_request",
    "searching",
    "show",
}
_HELPERS |= {"soup_reset", "stages"}
_HELPERS |= {"statistics_flags", "strategy", "strategy_flags", "sweep", "swept", "task_vector_flags"}


def command_names() -> list[str]:
    """Return the names of the commands that are not methods."""
    names = {module.name for module in pkgutil.iter_modules(commands.__path__)} - _HELPERS
    return sorted(map(canonical, names))


class _Commands(TyperGroup):
    """All commands, each built on demand."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names, those first whose panel ``--help`` shows first."""
        others = [name for name in command_names() if name != _FIRST]
        return [_FIRST, *(method.name for method in usable_methods()[0]), *rule_names(), *others]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if canonical(cmd_name) in command_names():
            cmd_name = canonical(cmd_name)
            module = importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
            if hasattr(module, "group"):  # a command with commands of its own
                return _build_group(cmd_name, module.group, module.PANEL)
            return _build(cmd_name, module.command, module.PANEL)
        if canonical(cmd_name) in rule_names():
            from .commands.bundling import PANEL, rule_command

            rule = find_rule(cmd_name)
            return _build(rule.name, rule_command(rule), PANEL, rule.summary)
        from .commands.method import method_command

        try:
            method = find_method(cmd_name)
        except UsageError:
            return None
        return _build(method.name, method_command(method), "Merge methods", method.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None:
            if ctx.resilient_parsing:  # a shell asks what could follow: nothing
                return None, None, []
            known = self.list_commands(ctx)
            hint = suggest(canonical(name), known) or "merge --help lists the commands"
            raise UsageError(f"there is no command or method '{name}'", hint=hint)
        return super().resolve_command(ctx, args)


def _build(name: str, function: Any, panel: str, help_text: str | None = None) -> Any:
    from .commands.candidates import with_candidates

    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name, help=help_text, rich_help_panel=panel, no_args_is_help=False)(with_candidates(function))
    return typer.main.get_command(single)


def _build_group(name: str, group: typer.Typer, panel: str) -> Any:
    from .commands.candidates import with_candidates

    for one in group.registered_commands:
        with_candidates(one.callback)  # type: ignore[arg-type]
    built: Any = typer.main.get_command(group)
    built.name, built.rich_help_panel = name, panel
    return built


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"merge-checkpoints {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn a folder of fine-tuned checkpoints into one better model, and show whether it is better."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows ``merge``; by default the process's own arguments.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    program = _program()
    completes = _completes(program)
    fill_standard_streams()
    interrupts = _Interrupts()
    try:
        result = typer.main.get_command(app).main(words, prog_name=program, standalone_mode=False)
        if result == INTERRUPTED:  # Typer has caught the interrupt and returns its code
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except (Exception, KeyboardInterrupt) as error:
        if completes:  # whatever is wrong, the user's line stays as it is
            return 1
        if "--traceback" in words:
            raise
        return _report(KeyboardInterrupt() if interrupts.seen else error)
    finally:
        interrupts.restore()


def _program() -> str:
    """Return the name that the program was called by; completion is set up for the one that is asked for it."""
    name = Path(sys.argv[0]).stem
    return name if name in PROGRAMS else PROGRAMS[0]


def _completes(program: str) -> bool:
    """Return whether a shell asks what could follow; then nothing is wrapped, as each line is a candidate."""
    if f"_{program.replace('-', '_').upper()}_COMPLETE" not in os.environ:
        return False
    os.environ["COLUMNS"] = "10000"
    return True


class _Interrupts:
    """Lets SIGTERM clean up as Ctrl-C does, and remembers either: whatever fails after one fails because of it.

    An import that is cut short, say, leaves numpy half made, for other threads to stumble over.

    Attributes:
        seen: Whether one came.
    """

    def __init__(self) -> None:
        self.seen = False
        self._previous: dict[int, Any] = {}
        is_heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so after nohup
        with suppress(ValueError):  # only the main thread may set handlers
            for number in (signal.SIGTERM, *([signal.SIGINT] if is_heeded else [])):
                self._previous[number] = signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: Any) -> None:
        self.seen = True
        signal.default_int_handler(number, frame)

    def restore(self) -> None:
        """Put back what handled the signals before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _report(error: BaseException) -> int:
    """Print an error in one line on stderr and return its exit code."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        sys.stderr.write("merge: interrupted; nothing half-written is left\n")
        return INTERRUPTED
    if isinstance(error, MergeError):
        text, code = str(error), error.exit_code
    elif isinstance(error, typer.TyperException):
        text, code = told(error), error.exit_code
    elif isinstance(error, OSError):
        where = error.filename or ("standard output" if give_up_output() else "")
        text, code = f"{where}: {error.strerror or error}".removeprefix(": "), 1
    else:
        text, code = f"unexpected {type(error).__name__}: {error}; --traceback shows where", 1
    if text:  # empty where help was shown instead
        sys.stderr.write(f"merge: {printable(' '.join(text.split()))}\n")
    return code
