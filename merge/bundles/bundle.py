"""An opened bundle: its rule, its options checked, and its members where they are now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.resolve import local_path, open_checkpoint
from ..errors import MergeError, UsageError
from .architecture import usable
from .document import FILE, BundleDocument, MemberDocument, read_document
from .rule import Rule
from .rules import find_rule, rule_names

if TYPE_CHECKING:
    from torch import Tensor

    from ..checkpoints.checkpoint import FileCheckpoint
    from ..evaluation.candidate import Candidate


@dataclass(frozen=True)
class Member:
    """One checkpoint of a bundle.

    Attributes:
        role: ``pretrained``, ``expert 2`` …
        name: For messages and tables.
        path: File or folder.
        content_id: What it had when the bundle was made.
        shared: File with tensors that it has in common with other members, and their names.
    """

    role: str
    name: str
    path: Path
    content_id: str
    shared: tuple[Path, tuple[str, ...]] | None = None

    def open(self) -> FileCheckpoint:
        """Open what is the member's own. Raises MergeError when it is not there, or no sound checkpoint."""
        if not self.path.exists():
            what = f"its member '{self.role}' is missing: {self.path}"
            raise MergeError(what, where=self.name, hint="bring it back, or make the bundle anew; --copy keeps members")
        return open_checkpoint(str(self.path))

    def load(self) -> Candidate:
        """Bring it into memory.

        Raises:
            MergeError: It is missing, cannot be read, or is another one than when the bundle was made.
        """
        from ..evaluation.candidate import identify, read_candidate, read_tensor

        source = self.open()
        try:
            candidate = replace(read_candidate(source, self.name), folder=self.folder)
            infos = list(source.tensors.values())
        finally:
            source.close()
        if self.shared is not None:
            common = open_checkpoint(str(self.shared[0]))
            try:
                wanted = [common.tensors[name] for name in self.shared[1] if name in common.tensors]
                tensors = {**candidate.tensors, **{info.name: read_tensor(common, info) for info in wanted}}
            finally:
                common.close()
            candidate = replace(candidate, tensors=tensors, identity=identify(tensors, [*infos, *wanted]))
        if candidate.identity != self.content_id:
            what = f"its member '{self.role}' is not what it was when the bundle was made: {self.path}"
            raise MergeError(what, where=self.name, hint="make the bundle anew")
        return candidate

    @property
    def folder(self) -> Path | None:
        """Where its configuration and tokenizer lie."""
        folder = self.path if self.path.is_dir() else self.path.parent
        return folder if self.path.is_dir() or (folder / "config.json").is_file() else None


@dataclass(frozen=True)
class Bundle:
    """Several checkpoints and the rule that joins them.

    Attributes:
        name: As the user gave it.
        model: Architecture of members that are bare checkpoints; None: what lies beside them.
        data_use: Which data the members' weights and the options were found with.
    """

    name: str
    folder: Path
    rule: Rule
    options: Any
    members: tuple[Member, ...]
    model: str | None
    seed: int
    identity: str
    data_use: str = "none"

    def state_dicts(self) -> list[dict[str, Tensor]]:
        """Return the tensors of every member by name, in order."""
        return [dict(member.load().tensors) for member in self.members]


def open_bundle(name: str, folder: Path | None = None) -> Bundle:
    """Open a bundle by what ``merge.json`` and headers tell.

    Args:
        name: Its folder.
        folder: Where a relative path counts from; the current one by default.

    Raises:
        MergeError: It is damaged, its rule is unknown, or a member is missing.
    """
    path = local_path(name, folder)
    document = read_document(path)
    where = str(path / FILE)
    rule, options = _rule(document, where)
    members = tuple(_member(path, one, where) for one in document["members"])
    for member in members:
        member.open().close()
    identity = _identity(document)
    model = usable(document["model"], path)
    return Bundle(name, path, rule, options, members, model, document["seed"], identity, document["data_use"])


def _rule(document: BundleDocument, where: str) -> tuple[Rule, Any]:
    """Return the rule and its options; what is wrong here is the file's fault, not the request's."""
    if document["rule"] not in rule_names():
        hint = f"this version of merge knows {', '.join(rule_names())}"
        raise MergeError(f"its rule '{document['rule']}' is unknown", where=where, hint=hint)
    rule = find_rule(document["rule"])
    declared = rule.options.declarations
    whole: dict[str, Any] = {}
    of_members: list[dict[str, Any]] = [{} for _ in document["members"]]
    for key, value in document["options"].items():
        if key in declared and declared[key].per_model:
            if not isinstance(value, list) or len(value) != len(of_members):
                raise MergeError(f"its option '{key}' needs one value for each member", where=where)
            for one, number in zip(of_members, value, strict=True):
                one[key] = number
        else:
            whole[key] = value
    try:
        return rule, rule.resolve(whole, of_members, where)
    except UsageError as error:
        raise MergeError(error.what, where=where, hint=error.hint) from None


def _member(folder: Path, document: MemberDocument, where: str) -> Member:
    shared = document.get("shared")
    common = None
    if shared is not None:
        common = (folder / shared["file"], tuple(shared["tensors"]))
        if not common[0].is_file():
            raise MergeError(f"its file of shared tensors is missing: {shared['file']}", where=where)
    name = f"{folder.name}/{document['role']}" if document["copied"] else document["path"]
    return Member(document["role"], name, folder / document["path"], document["content_id"], common)


def _identity(document: BundleDocument) -> str:
    """Return a content id of the rule, its options and the members' content ids."""
    import json

    from ..content_id import digest

    parts = [document["rule"], document["options"], [one["content_id"] for one in document["members"]]]
    return digest(json.dumps([*parts, document["seed"]], sort_keys=True).encode()).hex()


def options_document(options: Any) -> dict[str, Any]:
    """Return resolved options as JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(options).items()}
