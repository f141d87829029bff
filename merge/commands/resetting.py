"""``--reset-data`` and ``--reset-samples``: BatchNorm statistics measured anew before every evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from ..evaluation.task import Settings
    from ..search.resetting import Resetting


def check_reset(data: str | None, samples: int | None) -> None:
    """Refuse a number of items of no data.

    Raises:
        UsageError: Saying what to give with it.
    """
    if data is None and samples is not None:
        raise UsageError("--reset-samples is for measuring statistics anew", hint="give --reset-data SPEC")


def resetting(data: str, samples: int | None, settings: Settings) -> Resetting:
    """Return what measures BatchNorm statistics on data.

    Raises:
        UsageError: These are none.
    """
    from ..after.declared import ResetOptions
    from ..calibration.data import read_data
    from ..search.resetting import Resetting

    given: dict[str, Any] = {} if samples is None else {"samples": samples}
    return Resetting(read_data(data), ResetOptions(**given), settings)
