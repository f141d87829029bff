"""Sends a finished output to the hub in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..checkpoints.folders import INDEX_SUFFIX, PICKLE_SUFFIXES
from ..checkpoints.remote.offline import refuse_offline
from ..checkpoints.remote.reference import SAFETENSORS_SUFFIXES, hub_reference
from ..errors import MergeError, UsageError
from ..provenance import TOOL
from .asking import ask
from .document import PushDocument
from .finished import Finished, read_finished

DEFAULT_BRANCH = "main"
_WEIGHTS = (*SAFETENSORS_SUFFIXES, *PICKLE_SUFFIXES, INDEX_SUFFIX, ".bin.index.json")


@dataclass(frozen=True)
class Push:
    """What is sent where.

    Attributes:
        out: The output.
        repository: ``org/name``.
        private: Whether a repository that is made is private.
        revision: The branch; it is made where there is none.
        message: Of the commit.
        dry_run: Whether nothing is sent.
    """

    out: str
    repository: str
    private: bool = False
    revision: str | None = None
    message: str | None = None
    dry_run: bool = False


def push(request: Push) -> PushDocument:
    """Send an output to the hub.

    Raises:
        UsageError: The request is wrong, or it is no output.
        MergeError: It is unfinished, or the hub refuses or cannot be reached; then nothing of it is in the repository.
    """
    repository = _repository(request.repository)
    finished = read_finished(request.out)
    if request.dry_run:
        return _document(request, repository, finished, [], None)
    refuse_offline(repository)
    return _send(request, repository, finished)


def _repository(text: str) -> str:
    found = hub_reference(text)
    if found is None or found.path or "/" not in found.repository:
        raise UsageError("this is no repository of the hub", where=text, hint="write it org/name")
    if found.revision:
        hint = f"write it {found.repository} --revision {found.revision}"
        raise UsageError("the branch is given by its own flag", where=text, hint=hint)
    return found.repository


def _send(request: Push, repository: str, finished: Finished) -> PushDocument:
    from huggingface_hub import HfApi

    api, branch = HfApi(), request.revision or DEFAULT_BRANCH
    if api.token is None and not _has_token():
        raise MergeError("there is no token for the hub", where=repository, hint="set HF_TOKEN, or: hf auth login")
    ask(lambda: api.create_repo(repository, private=request.private or None, exist_ok=True), repository)
    if request.revision:
        ask(lambda: api.create_branch(repository, branch=branch, exist_ok=True), repository)
    removed = _outdated(ask(lambda: api.list_repo_files(repository, revision=branch), repository), finished)
    made = ask(lambda: _commit(api, request, repository, finished, removed), repository, bars=True)
    return _document(request, repository, finished, removed, made)


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _outdated(names: Sequence[str], finished: Finished) -> list[str]:
    """Return weights in the repository that the output lacks: left there, loaders might take them for its own."""
    folders = {name.rpartition("/")[0] for name in finished.files}
    beside = (name for name in names if name.rpartition("/")[0] in folders)
    return sorted(name for name in beside if name.endswith(_WEIGHTS) and name not in finished.files)


def _commit(api: Any, request: Push, repository: str, finished: Finished, removed: Sequence[str]) -> Any:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations: list[Any] = [CommitOperationAdd(name, str(path)) for name, path in finished.files.items()]
    operations += [CommitOperationDelete(name, is_folder=False) for name in removed]
    branch = request.revision or DEFAULT_BRANCH
    return api.create_commit(repository, operations, commit_message=_message(request, finished), revision=branch)


def _message(request: Push, finished: Finished) -> str:
    return request.message or f"{finished.path.resolve().name}, merged by {TOOL}"


def _document(request: Push, repository: str, finished: Finished, removed: Sequence[str], made: Any) -> PushDocument:
    return {
        "out": request.out,
        "repository": repository,
        "revision": request.revision or DEFAULT_BRANCH,
        "private": request.private,
        "message": _message(request, finished),
        "files": [{"name": name, "bytes": path.stat().st_size} for name, path in finished.files.items()],
        "removed": list(removed),
        "left_out": finished.left_out,
        "local_paths_in_card": finished.local,
        "commit": made.oid if made else None,
        "url": f"{made.repo_url}" if made else None,
    }
