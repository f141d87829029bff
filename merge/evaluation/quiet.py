"""transformers without its own remarks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hold back progress bars and loading notes: whatever they would say is checked here and raised."""
    from transformers.utils import logging as notes

    verbosity, bar = notes.get_verbosity(), notes.is_progress_bar_enabled()
    notes.set_verbosity(logging.CRITICAL)
    notes.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        notes.set_verbosity(verbosity)
        if bar:
            notes.enable_progress_bar()  # type: ignore[no-untyped-call]
