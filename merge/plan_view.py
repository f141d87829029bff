"""A plan for people and for programs: what ``--dry-run`` prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .checkpoints.bringing import names_planned
from .checkpoints.space import human
from .engine import RunSettings
from .estimate import view
from .estimate.estimate import estimate
from .estimate.works import passes_of
from .plan import Plan
from .planning.layout import is_single_file
from .provenance import describe_rounding, described

SHOWN_SKIPS = 20


def _copied(plan: Plan) -> list[str]:
    path = plan.recipe.output.path
    return [] if path is None or is_single_file(path) else names_planned(plan.sources[plan.reference], plan.beside)


def render_plan(plan: Plan, settings: RunSettings) -> str:
    """Return the plan as text, with what it will need when it is run so."""
    lines = [
        f"{role or 'also':8s} {source.location}  ({len(source.tensors):,} tensors)"
        for role, source in zip(plan.roles, plan.sources, strict=True)
    ]
    counts = ", ".join(f"{count:,} {action}" for action, count in sorted(plan.counts.items(), reverse=True))
    dtypes = Counter(dtype for row in plan.rows for _, dtype, _ in row.outputs)
    lines += [
        f"tensors  {counts}",
        f"types    {', '.join(f'{count:,} {dtype}' for dtype, count in dtypes.most_common())}",
    ]
    told = describe_rounding(plan.recipe.output)
    lines += [f"rounding {', '.join(f'{name} {value}' for name, value in told.items())}"] if told else []
    reasons = Counter(f"{row.action}: {row.reason}" for row in plan.rows if row.reason)
    lines += [f"         {count:,} {reason}" for reason, count in reasons.most_common()]
    passes = passes_of(plan)
    lines += [f"read     {human(plan.bytes_stored)}" + (f", {passes} times" if passes > 1 else "")]
    lines += [f"write    {human(plan.bytes_written)} to {plan.recipe.output.path}, {len(plan.files)} file(s)"]
    lines += view.render(estimate(plan, settings))
    lines += [f"copy     {', '.join(copied)}" for copied in [_copied(plan)] if copied]
    lines += [
        f"skip     '{skip.name}' of {plan.sources[skip.source].location}: {skip.reason}"
        for skip in plan.skips[:SHOWN_SKIPS]
    ]
    if len(plan.skips) > SHOWN_SKIPS:
        lines.append(f"skip     and {len(plan.skips) - SHOWN_SKIPS:,} more; --json lists all")
    lines += [f"note     {note}" for note in plan.notes + plan.metadata_notes]
    return "\n".join([*lines, *(f"warning  {warning}" for warning in plan.warnings)])


def plan_as_json(plan: Plan, settings: RunSettings) -> dict[str, Any]:
    """Return the plan as plain data, every tensor of every input accounted for."""
    locations = [source.location for source in plan.sources]
    return {
        "out": str(plan.recipe.output.path),
        "recipe": described(plan, locations),
        "models": [
            {"model": source.location, "role": role, "tensors": len(source.tensors)}
            for source, role in zip(plan.sources, plan.roles, strict=True)
        ],
        "counts": dict(plan.counts) | {"skip": len(plan.skips)},
        "bytes_read": plan.bytes_stored,
        "reads": passes_of(plan),
        "bytes_written": plan.bytes_written,
        "estimate": view.as_json(estimate(plan, settings)),
        "files": [{"name": file.name, "bytes": file.nbytes, "tensors": len(file.slots)} for file in plan.files],
        "tensors": [
            {
                "name": name,
                "dtype": dtype,
                "shape": list(shape),
                "action": row.action,
                "reason": row.reason if name == row.name else f"scales of '{row.name}'",
                "from": {locations[source]: tensor.name for source, tensor in enumerate(row.tensors) if tensor},
            }
            for row in plan.rows
            for name, dtype, shape in row.outputs
        ],
        "skipped": [
            {"model": locations[skip.source], "tensor": skip.name, "reason": skip.reason} for skip in plan.skips
        ],
        "copied_files": _copied(plan),
        "notes": plan.notes + plan.metadata_notes,
        "warnings": plan.warnings,
    }
