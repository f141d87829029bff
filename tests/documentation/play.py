"""Play a page: run its commands one after another, as a reader would, and put every other block to its use."""

from __future__ import annotations

import os
import runpy
import shlex
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from command_line import ROOT, Result, called
from documentation.blocks import Block, blocks
from documentation.not_run import NOT_RUN
from typer.main import get_command

import merge
from merge.cli import app, main
from merge.evaluation.specification import read_benchmarks

Cli = Callable[..., Result]
Use = str | Callable[[Block, Cli], None]


def play(
    page: str,
    cli: Cli,
    *uses: Use,
    only: int | None = None,
    more: Sequence[str] = (),
    instead: Mapping[str, str] | None = None,
) -> None:
    """Play a page in the current folder, which holds what the page takes for granted.

    Args:
        page: Its name.
        cli: Calls the tool.
        uses: What to do with each block that holds no commands, in order: the name of the file that it is, which is
            written before anything is run, or a function such as `recipe`, called at the block's place.
        only: The number of the one block to play.
        instead: What to write in a command in the place of what only a reader has, such as an address.
        more: Flags that all commands get besides, so that they take no longer than they must.
    """
    chosen = blocks(page) if only is None else blocks(page)[only : only + 1]
    others = [block for block in chosen if not block.commands]
    assert len(others) == len(uses), f"no use is named for one of {[block.where for block in others]}"
    named = dict(zip(others, uses, strict=True))
    for block, use in named.items():
        if isinstance(use, str):
            Path(use).write_text(block.text, "utf-8")
    for block in chosen:
        use = named.get(block)
        if callable(use):
            use(block, cli)
        with chdir("."):  # where a `cd` of the block has led is forgotten
            for command in block.commands:
                for old, new in (instead or {}).items():
                    command = command.replace(old, new)
                run(command, block, cli, more)


def run(command: str, block: Block, cli: Cli, more: Sequence[str] = ()) -> None:
    """Run a command, or parse it if it is listed among those that are not run."""
    if command in NOT_RUN:
        return parse(command, block)
    if "python benchmarks/" in command:  # takes minutes; tests/benchmarks runs them in small
        return parse_script(command)
    program, *arguments = shlex.split(command)
    if program == "cd":
        return os.chdir(arguments[0])
    if program == "python":
        return _run_script(arguments)
    assert program == "merge", f"{block.where}: {command}: neither run nor listed in not_run.py"
    result = cli(*arguments, *more)
    assert result.code == 0, (block.where, command, result.err)
    return None


def parse(command: str, block: Block) -> None:
    """Let the tool's own command line read a command, flags and values, and stop there."""
    program, *arguments = shlex.split(command)
    if program != "merge":
        return
    if arguments[0].startswith("-"):  # a flag of the tool itself acts while it is parsed
        known = {name for parameter in get_command(app).params for name in parameter.opts}
        assert arguments[0] in known, (block.where, command)
        return
    with patch("typer.core.TyperCommand.invoke", lambda self, context: 0):
        assert called(main, arguments) == 0, (block.where, command)


def parse_script(command: str) -> None:
    """Let a script of benchmarks/ read its flags, and stop there."""
    _, script, *arguments = shlex.split(command)
    with pytest.raises(_Parsed), _stop_when_parsed():
        _run_script([str(ROOT / script), *arguments])


class _Parsed(Exception):
    """The flags are read."""


@contextmanager
def _stop_when_parsed() -> Iterator[None]:
    read = ArgumentParser.parse_args

    def stop(parser: ArgumentParser, *given: Any) -> None:
        read(parser, *given)
        raise _Parsed

    with patch.object(ArgumentParser, "parse_args", stop):
        yield


def _run_script(words: list[str]) -> None:
    path = [str(Path(words[0]).parent), *sys.path]
    with patch.object(sys, "argv", words), patch.object(sys, "path", path), patch.dict(os.environ):
        runpy.run_path(words[0], run_name="__main__")


def recipe(block: Block, cli: Cli) -> None:
    """A recipe: merge by it."""
    Path("the-recipe.yaml").write_text(block.text, "utf-8")
    result = cli("run", "the-recipe.yaml", *(() if "output:" in block.text else ("-o", "the-outcome")), "--force")
    assert result.code == 0, (block.where, result.err)


def planned(block: Block, cli: Cli) -> None:
    """A recipe: plan it from the headers of its models."""
    Path("the-recipe.yaml").write_text(block.text, "utf-8")
    result = cli("run", "the-recipe.yaml", "--dry-run")
    assert result.code == 0, (block.where, result.err)


def benchmark(block: Block, cli: Cli) -> None:
    """A benchmark's YAML: its keys and values are understood."""
    Path("the-benchmark.yaml").write_text(block.text, "utf-8")
    assert read_benchmarks(["the-benchmark.yaml"]), block.where


def python(block: Block, cli: Cli) -> None:
    """Lines of Python, after `import merge`: run them."""
    exec(compile(block.text, block.where, "exec"), {"merge": merge})


def printed(block: Block, cli: Cli) -> None:
    """What a command printed, a formula, a shape of a file: nothing to run."""
    assert block.language in ("", "text", "console", "json"), block.where
