"""The shapes of what the commands print with ``--json``, published by ``merge schema``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NotRequired

from typing_extensions import TypedDict

from .adapters.extracting.document import ExtractDocument
from .after.document import MeasuredDocument
from .alignment.document import AlignmentRow
from .estimate.document import EstimateDocument
from .ledger_document import LedgerDocument
from .pushing.document import PushDocument
from .rounding_document import RoundingDocument
from .search.line_document import BarrierDocument
from .search.matrix_document import BarrierMatrixDocument


class PlannedModel(TypedDict):
    """One input of a plan."""

    model: str
    role: str
    tensors: int


class PlannedFile(TypedDict):
    """One file of the output."""

    name: str
    bytes: int
    tensors: int


PlannedTensor = TypedDict(
    "PlannedTensor",
    {"name": str, "dtype": str, "shape": list[int], "action": str, "reason": str, "from": dict[str, str]},
)


class SkippedTensor(TypedDict):
    """One input tensor that is not in the output."""

    model: str
    tensor: str
    reason: str


class PlanDocument(TypedDict):
    """What ``--dry-run --json`` prints."""

    out: str
    recipe: dict[str, Any]
    models: list[PlannedModel]
    counts: dict[str, int]
    bytes_read: int
    reads: int
    bytes_written: int
    estimate: EstimateDocument
    files: list[PlannedFile]
    tensors: list[PlannedTensor]
    skipped: list[SkippedTensor]
    copied_files: list[str]
    notes: list[str]
    warnings: list[str]


class MergedModel(TypedDict):
    """One input of a merge."""

    model: str
    role: str
    content_id: str


class MergeDocument(TypedDict):
    """What a merging command prints."""

    out: str
    output_id: str
    inputs: list[MergedModel]
    tensors: dict[str, int]
    bytes_read: int
    bytes_written: int
    pieces_reused: int
    copied_files: list[str]
    warnings: list[str]
    notes: list[str]
    seconds: float
    sha256: dict[str, str]
    statistics: NotRequired[LedgerDocument]
    measured: NotRequired[MeasuredDocument]
    alignments: NotRequired[list[AlignmentRow]]
    rounding: NotRequired[RoundingDocument]  # where it was not to nearest, or there is something to say of it
    barrier: NotRequired[BarrierDocument]  # with --report and --report-benchmark, of models that were aligned


class TensorSummary(TypedDict):
    """One tensor, looked at; statistics are None for types without arithmetic and for ``--no-values``."""

    name: str
    dtype: str
    shape: list[int]
    l2_norm: float | None
    mean: float | None
    minimum: float | None
    maximum: float | None
    zeros: int | None
    nonfinite: int | None


class InspectDocument(TypedDict):
    """What ``merge inspect`` prints; ``family`` of a diffusion model, such as ``SDXL base, ldm names``."""

    model: str
    family: str | None
    files: list[str]
    metadata: dict[str, str]
    content_id: str | None
    parameters: int
    bytes: int
    dtypes: dict[str, int]
    tensors: list[TensorSummary]
    notes: list[str]


class TensorDifference(TypedDict):
    """One tensor of two models, None where values are not finite; with a base also their task vectors."""

    name: str
    relative_l2: float | None
    largest: float | None
    cosine: float | None
    task_cosine: float | None
    sign_conflicts: float | None


class DiffDocument(TypedDict):
    """What ``merge diff`` prints: totals over all tensors, then tensor by tensor; ``families`` of a, b and the base."""

    a: str
    b: str
    base: str | None
    families: list[str | None]
    identical: bool
    relative_l2: float | None
    cosine: float | None
    task_cosine: float | None
    sign_conflicts: float | None
    only_in_a: list[str]
    only_in_b: list[str]
    unlike: list[str]
    tensors: list[TensorDifference]


class VerifyDocument(TypedDict):
    """What ``merge verify`` prints."""

    out: str
    repeats: bool
    output_id_recorded: str | None
    output_id_found: str
    output_id_repeated: str
    changed_inputs: list[str]
    differing_tensors: list[str]
    tensors: int
    proves: str


def _evaluation() -> Any:
    from .evaluation.results import EvaluationDocument

    return EvaluationDocument


def _report() -> Any:
    from .reports.mapping import ReportDocument

    return ReportDocument


def _calibration() -> Any:
    from .calibration.document import CalibrationDocument

    return CalibrationDocument


def _inspection() -> Any:
    from .bundles.describing import BundleDescription

    return InspectDocument | BundleDescription


def _verification() -> Any:
    from .bundles.describing import BundleVerification

    return VerifyDocument | BundleVerification


def _bundle() -> Any:
    from .bundles.document import BundleDocument

    return BundleDocument


def _joined() -> Any:
    from .adapters.joining.document import JoinDocument

    return JoinDocument


DOCUMENTS: dict[str, Callable[[], Any]] = {
    "plan": lambda: PlanDocument,
    "merge": lambda: MergeDocument,
    "inspect": _inspection,
    "diff": lambda: DiffDocument,
    "verify": _verification,
    "eval": _evaluation,
    "report": _report,
    "barrier": lambda: BarrierDocument,
    "barrier-matrix": lambda: BarrierMatrixDocument,
    "calibrate": _calibration,
    "bundle": _bundle,
    "push": lambda: PushDocument,
    "adapters": _joined,
    "extract-lora": lambda: ExtractDocument,
}
