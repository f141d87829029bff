"""An opened bundle: its rule, its options checked, and its members where they are now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.resolve import local_path
from ..errors import MergeError, UsageError
from .architecture import usable
from .document import FILE, BundleDocument, MemberDocument, read_document
from .member import Member
from .rule import Rule
from .rules import find_rule, rule_names

if TYPE_CHECKING:
    from torch import Tensor


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
    members = tuple(_member(name, path, one, where) for one in document["members"])
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


def _member(bundle: str, folder: Path, document: MemberDocument, where: str) -> Member:
    shared = document.get("shared")
    common = None
    if shared is not None:
        common = (folder / shared["file"], tuple(shared["tensors"]))
        if not common[0].is_file():
            raise MergeError(f"its file of shared tensors is missing: {shared['file']}", where=where)
    name = f"{folder.name}/{document['role']}" if document["copied"] else document["path"]
    return Member(bundle, document["role"], name, folder / document["path"], document["content_id"], common)


def _identity(document: BundleDocument) -> str:
    """Return a content id of the rule, its options and the members' content ids."""
    import json

    from ..content_id import digest

    parts = [document["rule"], document["options"], [one["content_id"] for one in document["members"]]]
    return digest(json.dumps([*parts, document["seed"]], sort_keys=True).encode()).hex()


def options_document(options: Any) -> dict[str, Any]:
    """Return resolved options as JSON values."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(options).items()}
