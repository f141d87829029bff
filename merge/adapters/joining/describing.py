"""What the outcome says of itself: recipe, inputs and content ids in its metadata, and a card for people."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash

from ... import card
from ...checkpoints.address import OutputPath
from ...checkpoints.strength import FULL
from ...content_id import checkpoint_id, tensor_digests
from ...provenance import TOOL
from ..low_rank.writing import own_metadata
from .member import Member
from .request import Request
from .shaping import Made
from .uniting import United

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")  # what may be one on the hub; anything else it refuses in a card
_SAID = ("ss_base_model_version", "modelspec.architecture", "modelspec.sai_model_spec", "ss_network_module", "ss_v2")
KEY = "adapters"  # of the recipe in the card, by which merge verify knows it


def member_id(member: Member) -> str:
    """Return an id of what an adapter is: of its tensors, and of the scale of every module, which its settings give."""
    tensors = member.weights.tensors.values()
    own = checkpoint_id(tensors, tensor_digests(tensors, member.weights.read_into))
    scalings = sorted((module, addend.scaling) for module, addend in member.addends.items())
    return xxhash.xxh3_128_hexdigest(f"{own}\0{json.dumps(scalings)}".encode())


def describe(request: Request, names: Sequence[str]) -> dict[str, Any]:
    """Return a request as a mapping, with these names in place of the adapters' locations."""
    own = request.own_options or ({},) * len(names)
    strengths = [{} if strength == FULL else {"strength": list(strength)} for strength in request.strengths]
    found: dict[str, Any] = {KEY: request.chosen.name}
    found["models"] = [
        {"model": name} | strength | dict(options)
        for name, strength, options in zip(names, strengths, own, strict=True)
    ]
    found |= {"options": dict(request.options)} if request.options else {}
    cut = request.truncation
    if cut is not None:
        limits = {"rank": cut.rank, "energy": cut.energy, "max_rank": cut.max_rank}
        found |= {name: value for name, value in limits.items() if value is not None}
    found |= {name: list(given) for name, given in (("only", request.only), ("skip", request.skip)) if given}
    found |= {"any_base": True} if request.any_base else {}
    found |= {"dtype": request.dtype} if request.dtype else {}
    return found | ({"seed": request.seed} if request.chosen.seeded else {})


def file_facts(united: United, modules: Sequence[Made]) -> dict[str, str]:
    """Return the metadata by which user interfaces tell what a single file is for, where all adapters say the same."""
    said = [member.weights.metadata for member in united.members]
    found = {key: said[0][key] for key in _SAID if key in said[0] and all(key in each for each in said)}
    found = {key: value for key, value in found.items() if all(each[key] == value for each in said)}
    ranks = {made.rank for made in modules}
    alphas = {made.scaling * made.rank for made in modules}
    found["ss_network_dim"] = str(ranks.pop()) if len(ranks) == 1 else "Dynamic"
    found["ss_network_alpha"] = f"{alphas.pop():g}" if len(alphas) == 1 else "Dynamic"
    return found


def metadata(request: Request, ids: Sequence[str], identity: str) -> dict[str, str]:
    """Return the metadata of the outcome's file, of one length for every content id."""
    return own_metadata(describe(request, ids), ids, identity)


def render(
    request: Request,
    members: Sequence[Member],
    out: OutputPath,
    ids: Sequence[str],
    identity: str,
    facts: Sequence[str],
) -> str:
    """Return the card's Markdown.

    Args:
        request: What was asked for.
        members: The adapters.
        out: Where the outcome goes.
        ids: Ids of the adapters.
        identity: Content id of the outcome.
        facts: What is worth saying, one line each.
    """
    names = [member.origin or _place(member.location, request.folder, out) for member in members]
    shown = out.name if isinstance(out, Path) else str(out)
    lines = ["---", *_front_matter(members), "---", card.MARK, "", f"# {out.stem}", ""]
    lines += [f"Adapters merged into one by {TOOL}. `merge verify {shown}` repeats it and compares.", ""]
    lines += ["## Models", "", "| role | model | content id |", "|---|---|---|"]
    lines += [f"| adapter {n} | `{name}` | `{own}` |" for n, (name, own) in enumerate(zip(names, ids, strict=True), 1)]
    lines += [f"| output | `{out.name}` | `{identity}` |", "", "## Recipe", ""]
    lines += ["```yaml", card.dump_yaml(describe(request, names)).rstrip(), "```", ""]
    lines += card.note_lines(facts)
    return "\n".join(lines)


def _front_matter(members: Sequence[Member]) -> list[str]:
    bases = {member.base_name for member in members if member.base_name and _REPOSITORY.fullmatch(member.base_name)}
    base = [f"base_model: {bases.pop()}"] if len(bases) == 1 else []
    licences = card.licence_lines(member.weights for member in members)
    library = [] if any(member.is_single_file for member in members) else ["library_name: peft"]
    return [*base, *library, "tags:", "- merge", "- lora", *licences]


def _place(location: str, folder: Path | None, out: OutputPath) -> str:
    from ...checkpoints.resolve import local_path

    path = local_path(location, folder)
    return card.relative_path(path, out) if path.exists() else location
