"""Repositories of the hub: files by ranges from where the hub keeps them, or from the shared cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ...errors import MergeError
from .checksums import SHA256, Stated
from .file import CachedFile, RemoteFile
from .http_file import HttpFile
from .http_status import Answer
from .hub_calls import Outcome, UnreachableError, call_hub, explain_answer
from .reference import HubReference
from .requests import map_side_by_side


class Listing(NamedTuple):
    """A revision of a repository: its commit and the paths of all files."""

    commit: str
    paths: list[str]


def list_repository(reference: HubReference, where: str) -> Listing:
    """Ask the hub which commit a revision is, and what it holds.

    Raises:
        MergeError: There is no such model, or it refuses.
        UnreachableError: There is no network, or it must not be used.
    """
    from huggingface_hub import HfApi

    info = call_hub(lambda: HfApi().model_info(reference.repository, revision=reference.revision), reference, where)
    if info.sha is None:
        raise MergeError("the hub does not say which commit this is", where=where)
    return Listing(info.sha, [sibling.rfilename for sibling in info.siblings or []])


class HubStore:
    """A folder of a repository at one commit.

    Args:
        where: What the user wrote.
        reference: Repository, revision and folder.
        listing: The commit and its files.
    """

    def __init__(self, where: str, reference: HubReference, listing: Listing) -> None:
        self.where, self._reference, self.commit, self._listing = where, reference, listing.commit, listing
        self._prefix = f"{reference.path}/" if reference.path else ""
        below = [path.removeprefix(self._prefix) for path in listing.paths if path.startswith(self._prefix)]
        self.names: Sequence[str] = sorted(name for name in below if "/" not in name)
        self.folders: Sequence[str] = sorted({name.partition("/")[0] for name in below if "/" in name})
        self.origin = pinned(reference, listing.commit)
        self._is_noted = False
        self.notes = [f"is read from the hub at commit {listing.commit}"]

    def within(self, folder: str) -> HubStore:
        """Return a folder in it."""
        return HubStore(f"{self.where}/{folder}", self._reference._replace(path=self._prefix + folder), self._listing)

    @cached_property
    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils._headers import build_hf_headers

        return {name: str(value) for name, value in build_hf_headers(library_name="merge-checkpoints").items()}

    def cached(self, name: str) -> Path | None:
        """Return a file's copy in the shared cache, where there is one."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self._reference.repository, self._prefix + name, revision=self.commit)
        return Path(found) if isinstance(found, str) else None

    def file(self, name: str) -> RemoteFile:
        """Return one of its files, from the shared cache where it is there."""
        from huggingface_hub import hf_hub_url

        where, path = f"{self.where}: {name}", self._prefix + name
        address = f"hf://{self._reference.repository}@{self.commit}/{path}"
        if (copy := self.cached(name)) is not None:
            return CachedFile(copy, address, "", where)
        url = hf_hub_url(self._reference.repository, path, revision=self.commit)
        return HttpFile(url, where, headers=self._headers, explain=self._explain, address=address)

    def _explain(self, answer: Answer) -> MergeError | None:
        return explain_answer(answer, self._reference, self.where)

    def stated_hashes(self, names: Sequence[str]) -> Mapping[str, Stated]:
        """Return the sha256 of its large files by their names; of small ones the hub knows none.

        Raises:
            MergeError: It cannot be asked.
        """
        from huggingface_hub import HfApi

        name = self._reference.repository
        info = self._call(lambda: HfApi().model_info(name, revision=self.commit, files_metadata=True))
        hashes = {each.rfilename: str(each.lfs["sha256"]) for each in info.siblings or [] if each.lfs}
        paths = {name: self._prefix + name for name in names}
        return {name: Stated(SHA256, hashes[path]) for name, path in paths.items() if path in hashes}

    def fetch(self, names: Sequence[str], *, bars: bool = False) -> Path:
        """Bring files, one at least, into the shared cache and return their folder there.

        Args:
            names: The files.
            bars: Whether to show on a terminal how far it is.

        Raises:
            MergeError: They cannot be fetched.
        """
        copies = self._call(lambda: map_side_by_side(self._download, names), bars=bars)
        return copies[0].parents[names[0].count("/")]

    def _call(self, work: Callable[[], Outcome], *, bars: bool = False) -> Outcome:
        try:
            return call_hub(work, self._reference, self.where, bars=bars)
        except UnreachableError as error:
            hint = "is the network on?"
            raise MergeError(f"the hub cannot be reached: {error}", where=self.where, hint=hint) from None

    def _download(self, name: str) -> Path:
        from huggingface_hub import hf_hub_download

        if not self._is_noted:
            self._is_noted = True  # asked for by branch or tag, the cache notes the commit for when there is no network
            hf_hub_download(self._reference.repository, self._prefix + name, revision=self._reference.revision)
        return Path(hf_hub_download(self._reference.repository, self._prefix + name, revision=self.commit))


def pinned(reference: HubReference, commit: str) -> str:
    """Return what names a folder or file of a repository at a commit: ``org/name@commit``."""
    if reference.path:
        return f"hf://{reference.repository}@{commit}/{reference.path}"
    prefix = "" if "/" in reference.repository else "hf:"
    return f"{prefix}{reference.repository}@{commit}"
