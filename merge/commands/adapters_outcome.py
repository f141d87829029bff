"""What ``merge adapters`` says: the plan, or what was made."""

from __future__ import annotations

from collections.abc import Sequence

from ..adapters.joining.describing import describe
from ..adapters.joining.document import JoinDocument, JoinedModule
from ..adapters.joining.planned import Planned
from ..adapters.joining.request import Request
from ..adapters.joining.running import Joined
from ..adapters.joining.shaping import Made
from ..adapters.joining.uniting import United
from .show import render_columns

SHOWN = 40  # modules of which a dry run shows a line each; --json has all


def render_plan(united: United, request: Request, rows: Sequence[Planned]) -> str:
    """Return what would be made, for people."""
    lines = [f"merge {len(united.members)} adapters by {request.chosen.name}"]
    lines += [f"  {member.location}: {len(member.addends)} modules" for member in united.members]
    table = [("module", "weight", "ranks", "rank", "bytes")]
    table += [
        (row.module, "x".join(map(str, row.shape)), "+".join(map(str, row.ranks)), str(row.rank), f"{row.nbytes:,}")
        for row in rows[:SHOWN]
    ]
    lines += [render_columns(table)] if rows else []
    lines += [f"… and {len(rows) - SHOWN} more modules"] if len(rows) > SHOWN else []
    lines += [f"trained whole: {name}" for name in united.all_whole]
    lines += [f"note: {note}" for note in united.notes]
    total = sum(row.nbytes for row in rows)
    most = "at most " if request.truncation is not None and request.truncation.energy is not None else ""
    return "\n".join([*lines, f"{len(rows)} modules, {most}{total:,} bytes of factors"])


def render_outcome(united: United, joined: Joined) -> str:
    """Return what was made, for people."""
    lines = [f"note: {note}" for note in joined.notes]
    cut = [made for made in joined.modules if made.norm is not None]
    if cut:
        worst = min(cut, key=lambda made: made.energy)
        least = f"least in {worst.module}: {worst.energy:.2%} at rank {worst.rank}"
        lines.append(f"kept {joined.energy:.2%} of the squares; {least}")
    if joined.copied:
        lines.append(f"copied from {united.members[0].location}: {', '.join(joined.copied)}")
    ranks = sorted({made.rank for made in joined.modules})
    shown = f" of rank {ranks[0]}" if len(ranks) == 1 else f" of ranks {ranks[0]} to {ranks[-1]}" if ranks else ""
    whole = f", {len(joined.whole)} tensors trained whole" if joined.whole else ""
    return "\n".join([*lines, f"wrote {joined.out} ({len(joined.modules)} modules{shown}{whole})"])


def plan_document(united: United, request: Request, rows: Sequence[Planned], out: object) -> JoinDocument:
    """Return what would be made, for programs."""
    return {
        "out": None if out is None else str(out),
        "method": request.chosen.name,
        "options": _options(request),
        "adapters": [
            {"model": member.location, "modules": len(member.addends), "content_id": None} for member in united.members
        ],
        "output_id": None,
        "modules": [_module(row) for row in rows],
        "whole": list(united.all_whole),
        "energy": None,
        "copied_files": [],
        "notes": list(united.notes),
    }


def outcome_document(united: United, request: Request, rows: Sequence[Planned], joined: Joined) -> JoinDocument:
    """Return what was made, for programs."""
    found = plan_document(united, request, rows, joined.out)
    made = {each.module: each for each in joined.modules}
    found["modules"] = [_module(row, made[row.module]) for row in rows if row.module in made]
    for adapter, identity in zip(found["adapters"], joined.input_ids, strict=True):
        adapter["content_id"] = identity
    found |= {"output_id": joined.identity, "energy": joined.energy}
    return found | {"copied_files": list(joined.copied), "notes": list(joined.notes)}


def _options(request: Request) -> dict[str, object]:
    described = describe(request, request.locations)
    return {key: value for key, value in described.items() if key not in {"adapters", "models"}}


def _module(row: Planned, made: Made | None = None) -> JoinedModule:
    norm = made.norm if made else None
    return {
        "module": row.module,
        "kind": row.kind,
        "shape": list(row.shape),
        "ranks": list(row.ranks),
        "rank": made.rank if made else row.rank,
        "energy": made.energy if made else None,
        "norm": norm,
        "relative_error": made.error / norm if made and norm else None,
        "bytes": made.nbytes if made else row.nbytes,
    }
