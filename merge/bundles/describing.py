"""What ``merge inspect`` and ``merge verify`` say of a bundle."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from ..checkpoints.header import TensorInfo
from ..checkpoints.space import human
from ..content_id import checkpoint_id, tensor_digests
from .bundle import open_bundle, options_document
from .member import Member


class DescribedMember(TypedDict):
    """One member of a bundle."""

    role: str
    model: str
    content_id: str
    tensors: int
    bytes: int


class BundleDescription(TypedDict):
    """What ``merge inspect --json`` prints for a bundle."""

    bundle: str
    rule: str
    options: dict[str, Any]
    members: list[DescribedMember]
    model: str | None
    seed: int
    data_use: str
    content_id: str


class BundleVerification(TypedDict):
    """What ``merge verify --json`` prints for a bundle."""

    out: str
    repeats: bool
    changed_members: list[str]


def describe_bundle(name: str) -> BundleDescription:
    """Describe a bundle from headers. Raises MergeError when it or a member is damaged or missing."""
    bundle = open_bundle(name)
    return {
        "bundle": name,
        "rule": bundle.rule.name,
        "options": options_document(bundle.options),
        "members": [_member(member) for member in bundle.members],
        "model": bundle.model,
        "seed": bundle.seed,
        "data_use": bundle.data_use,
        "content_id": bundle.identity,
    }


def _member(member: Member) -> DescribedMember:
    tensors = _tensors(member)
    size = sum(info.nbytes for info in tensors)
    found: DescribedMember = {
        "role": member.role,
        "model": member.name,
        "content_id": member.content_id,
        "tensors": len(tensors),
        "bytes": size,
    }
    return found


def _tensors(member: Member) -> list[TensorInfo]:
    """Return what a member holds, its own tensors and those in common."""
    source = member.open()
    source.close()
    with member.common() as (_, shared):
        return [*source.tensors.values(), *shared]


def render_description(found: BundleDescription) -> str:
    """Return a description as text."""
    lines = [f"{found['bundle']}: a bundle, {found['rule']} of {len(found['members'])} models"]
    lines += [f"  {name}: {value}" for name, value in found["options"].items()]
    if found["model"] is not None:
        lines.append(f"  architecture: {found['model']}")
    for one in found["members"]:
        lines.append(f"  {one['role']}: {one['model']}, {one['tensors']} tensors, {human(one['bytes'])}")
    return "\n".join(lines)


def verify_bundle(name: str) -> BundleVerification:
    """Compare every member's content id with the recorded one. Raises MergeError when a member is missing."""
    bundle = open_bundle(name)
    changed = [member.role for member in bundle.members if content_id_of(member) != member.content_id]
    return {"out": name, "repeats": not changed, "changed_members": changed}


def content_id_of(member: Member) -> str:
    """Return the content id that a member has now, by reading all of it."""
    source = member.open()
    try:
        digests = tensor_digests(source.tensors.values(), source.read_into)
    finally:
        source.close()
    with member.common() as (common, shared):
        if common is not None:
            digests |= tensor_digests(shared, common.read_into)
    return checkpoint_id(_tensors(member), digests)


def render_verification(found: BundleVerification) -> str:
    """Return a verification as text."""
    if found["repeats"]:
        return f"{found['out']}: every member is what it was when the bundle was made"
    return "\n".join(f"{found['out']}: the member '{role}' has changed" for role in found["changed_members"])
