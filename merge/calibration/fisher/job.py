"""What is differentiated, with respect to what, and for which labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..subject import Subject
    from .parameters import Parameters
    from .request import Request


@dataclass(frozen=True)
class Job:
    """One model and what is asked of it."""

    subject: Subject
    parameters: Parameters
    request: Request
