"""Checkpoints and a rule ▸ a bundle: a folder with ``merge.json``, built aside and put in place with one rename."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.files import writing
from ..checkpoints.remote.reference import is_remote
from ..checkpoints.resolve import local_path, open_checkpoint, with_adapter
from ..checkpoints.staging import Staging
from ..content_id import checkpoint_id, tensor_digests
from ..data_use import joined_use
from ..errors import UsageError
from ..version import __version__
from .architecture import paths_of, portable
from .bundle import options_document
from .copying import COMMON, common_tensors, copy_members
from .document import FILE, FORMAT, MEMBERS, SCHEMA_VERSION, BundleDocument, MemberDocument, render
from .fitting import check_label_sets, check_one_architecture
from .paths import seen_from
from .replacing import check_out
from .rule import Rule

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Request:
    """What a bundle is to be made of.

    Attributes:
        options: Resolved by the rule.
        members: Files or folders.
        out: The bundle's folder.
        model: Architecture of members that are bare checkpoints.
        copy: Whether the members are copied into the bundle, so that it can be moved alone.
        force: Replace a bundle that stands there.
        sync: Wait for the disk before the rename.
        folder: Where relative paths of members count from.
    """

    rule: Rule
    options: Any
    members: tuple[str, ...]
    out: Path
    model: str | None = None
    seed: int = 0
    copy: bool = False
    force: bool = False
    sync: bool = True
    folder: Path | None = None


@dataclass(frozen=True)
class Opened:
    """The request's members, checked against one another by their headers.

    Attributes:
        data_use: Which data their weights were found with.
        found: What the rule found out about them.
    """

    request: Request
    sources: tuple[FileCheckpoint, ...]
    data_use: str
    found: Any

    @property
    def nbytes(self) -> int:
        """Bytes of all members' tensors."""
        return sum(info.nbytes for source in self.sources for info in source.tensors.values())


def open_members(request: Request, stack: ExitStack) -> Opened:
    """Open the members and check everything that headers can tell.

    Raises:
        UsageError: The members do not fit one another, or something is in the way of the output.
        MergeError: A member is no sound checkpoint.
    """
    sources = []
    for member in request.members:
        if not request.copy and with_adapter(member, request.folder):
            hint = "--copy keeps the baked model in the bundle; or bake it first: merge passthrough"
            raise UsageError("a bundle names its members, and this one is made of two", where=member, hint=hint)
        if not request.copy and not local_path(member, request.folder).exists() and is_remote(member):
            what = "a bundle names its members by their paths, and this one lies elsewhere"
            raise UsageError(what, where=member, hint="--copy keeps it in the bundle; or download it")
        source = open_checkpoint(member, relative_to=request.folder)
        stack.callback(source.close)
        sources.append(source)
    if request.rule.one_architecture:
        check_one_architecture(sources)
    check_label_sets(sources)
    inputs = [file for source in sources for file in source.files]
    check_out(request.out, [*inputs, *paths_of(request.model)], request.force)
    return Opened(request, tuple(sources), _data_use(sources), request.rule.examine(sources, request.options))


def _data_use(sources: Sequence[FileCheckpoint]) -> str:
    from ..evaluation.candidate import recorded_data_use

    return joined_use(map(recorded_data_use, sources))


def write_bundle(opened: Opened, advance: Advance) -> BundleDocument:
    """Write the bundle.

    Args:
        opened: The members.
        advance: Called with every number of bytes that was read or copied.

    Returns:
        What ``merge.json`` holds.

    Raises:
        MergeError: A member cannot be read, or the output cannot be written; nothing is left of it then.
    """
    request = opened.request
    digests = []
    for source in opened.sources:
        digests.append(tensor_digests(source.tensors.values(), source.read_into))
        advance(sum(info.nbytes for info in source.tensors.values()))
    common = common_tensors(opened.sources, digests) if request.copy else []
    staging = Staging(request.out, is_folder=True)
    staging.open(resume=False)
    try:
        document = _document(opened, digests, common)
        with writing(request.out):
            if request.copy:
                copy_members(staging.path(""), opened.sources, common, advance)
            staging.path(FILE).write_text(render(document), "utf-8")
            request.rule.furnish(staging.path(""), opened.found, request.options)
        for source in opened.sources:
            source.check_unchanged()
        staging.commit(replace=request.force, sync=request.sync)
    finally:
        staging.close()
    return document


def _document(opened: Opened, digests: Sequence[dict[str, bytes]], common: Sequence[tuple[str, ...]]) -> BundleDocument:
    request = opened.request
    members: list[MemberDocument] = []
    for number, source in enumerate(opened.sources):
        content_id = checkpoint_id(source.tensors.values(), digests[number])
        at = local_path(request.members[number], request.folder)
        path = f"{MEMBERS}/{number + 1}" if request.copy else seen_from(at, request.out)
        member: MemberDocument = {
            "role": request.rule.role(number),
            "path": path,
            "content_id": content_id,
            "copied": request.copy,
        }
        if request.copy and common[number]:
            member["shared"] = {"file": COMMON, "tensors": list(common[number])}
        members.append(member)
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "rule": request.rule.name,
        "options": options_document(request.options),
        "members": members,
        "model": portable(request.model, request.out),
        "seed": request.seed,
        "data_use": opened.data_use,
        "tool_version": __version__,
    }
