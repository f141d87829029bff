"""lm-evaluation-harness without its remarks, its bars, and its hold on the process's random state."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import random
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

from ...errors import MergeError
from ..data.opening import check_installed as check_datasets
from ..data.opening import quiet_datasets
from ..quiet import quiet_transformers

# With this set, intervals of F1 and the like are resampled in this process: a fork beside torch's threads can hang.
ONE_PROCESS = "DISABLE_MULTIPROC"


def check_installed(where: str) -> None:
    """Raise MergeError where lm-evaluation-harness, or what it needs to run models, is missing or unsafe."""
    missing = [name for name in ("lm_eval", "accelerate") if find_spec(name) is None]
    if missing:
        hint = "pip install 'merge-checkpoints[lm]'"
        raise MergeError(f"lm-evaluation-harness needs the package {' and '.join(missing)}", where=where, hint=hint)
    check_datasets(where)


@contextlib.contextmanager
def quiet_harness() -> Iterator[None]:
    """Hold back what the harness prints, logs and shows as bars: what matters of it is checked here and raised."""
    with (
        quiet_transformers(),
        quiet_datasets(),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        _log_level("lm_eval", logging.CRITICAL),
        _environment(ONE_PROCESS, "1"),
        _no_bars(),
        _no_git(),
        _random_state(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _log_level(name: str, level: int) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Make every bar of tqdm a silent one: the harness has no switch for all of them."""
    from tqdm import tqdm

    original = tqdm.__init__

    def silent(self: object, *arguments: object, **options: object) -> None:
        original(self, *arguments, **{**options, "disable": True})

    tqdm.__init__ = silent
    try:
        yield
    finally:
        tqdm.__init__ = original


@contextlib.contextmanager
def _no_git() -> Iterator[None]:
    """Let the harness find the commit of the current folder without git, which complains where there is none."""
    from lm_eval import evaluator
    from lm_eval.loggers.utils import get_commit_from_path

    original = evaluator.get_git_commit_hash
    evaluator.get_git_commit_hash = lambda: get_commit_from_path(".")
    try:
        yield
    finally:
        evaluator.get_git_commit_hash = original


@contextlib.contextmanager
def _random_state() -> Iterator[None]:
    """Give Python, numpy and torch back the state that the harness's seeds replace."""
    import numpy as np
    import torch

    of_python, of_numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)
