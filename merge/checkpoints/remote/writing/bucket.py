"""The objects of an S3 bucket: the few requests that writing an output takes, each tried again while it may pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import partial
from threading import Event
from typing import Any, TypeVar

from ....errors import MergeError
from ..filesystem_errors import explain_protocol
from ..offline import refuse_offline
from ..s3_file import settings
from .body import Body
from .insisting import code_behind, insist

T = TypeVar("T")
PROTOCOLS = ("s3", "s3a")
_ATTEMPTS = 3  # each of which the client beneath makes five times


class Bucket:
    """A bucket, through s3fs, which knows credentials and endpoints.

    Args:
        location: The address of an object in it.

    Attributes:
        key: Of that object.
        filesystem: The file system of fsspec.
        stop: Set when nobody waits for its answers any more.

    Raises:
        UsageError: s3fs is missing, or the network must not be used.
    """

    def __init__(self, location: str) -> None:
        refuse_offline(location)
        self.filesystem, path = _open(location)
        self.name, self.key, _ = self.filesystem.split_path(path)
        self.stop = Event()

    def apart(self) -> Bucket:
        """Return the same bucket with a `stop` of its own."""
        other = copy(self)
        other.stop = Event()
        return other

    def address(self, key: str) -> str:
        """Return what stands for an object in messages."""
        return f"s3://{self.name}/{key}"

    def put(self, key: str, data: bytes, **conditions: str) -> None:
        """Write an object at once."""
        self._ask("put_object", key, Body=data, **conditions)

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        return self._unless_absent(lambda: self._read(key), key)

    def _read(self, key: str) -> bytes:
        from fsspec.asyn import sync

        async def read() -> bytes:  # not by the file system's own way, which believes listings that it has made before
            found = await self.filesystem._call_s3("get_object", Bucket=self.name, Key=key)
            content: bytes = await found["Body"].read()
            return content

        return bytes(sync(self.filesystem.loop, read))

    def head(self, key: str) -> dict[str, Any] | None:
        """Return what the store says of an object, or None where there is none."""
        return self._unless_absent(lambda: self._call("head_object", Key=key), key)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._ask("delete_object", key)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so."""
        pages = self._pages("list_objects_v2", prefix, {"NextContinuationToken": "ContinuationToken"})
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def begin(self, key: str) -> str:
        """Begin an upload in parts; return its id."""
        return str(self._ask("create_multipart_upload", key)["UploadId"])

    def add(self, key: str, upload: str, number: int, data: bytes | bytearray) -> str:
        """Send a part, counted from 1; return its tag."""
        about = {"Key": key, "UploadId": upload, "PartNumber": number}
        return str(self._insist(lambda: self._call("upload_part", Body=Body(data), **about), key)["ETag"])

    def complete(self, key: str, upload: str, tags: Mapping[int, str], size: int) -> None:
        """Make an object of the parts. An answer that was lost on the way is made up for by looking.

        Raises:
            MergeError: The store refuses it.
        """
        parts = {"Parts": [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]}
        tries = 0

        def action() -> None:
            nonlocal tries
            tries += 1
            try:
                self._call("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=parts)
            except FileNotFoundError:
                found = self.head(key) if tries > 1 else None
                if found is None or found["ContentLength"] != size:
                    what = "somebody gave up this upload while it was under way"
                    raise MergeError(what, where=self.address(key), hint="run it again") from None

        self._insist(action, key)

    def abort(self, key: str, upload: str) -> None:
        """Give up an upload; one that is gone already will do."""
        self._unless_absent(lambda: self._call("abort_multipart_upload", Key=key, UploadId=upload), key)

    def unfinished(self, prefix: str) -> list[tuple[str, str]]:
        """Return key and id of the uploads that were begun and not ended; none where one may not ask."""
        markers = {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}
        try:
            pages = list(self._pages("list_multipart_uploads", prefix, markers))
        except MergeError:
            return []
        return [(found["Key"], found["UploadId"]) for page in pages for found in page.get("Uploads", ())]

    def _pages(self, method: str, prefix: str, markers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            page = self._insist(partial(self._call, method, Prefix=prefix, **more), prefix)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {ours: page[theirs] for theirs, ours in markers.items() if page.get(theirs)}

    def _ask(self, method: str, key: str, **arguments: Any) -> Any:
        return self._insist(lambda: self._call(method, Key=key, **arguments), key)

    def _unless_absent(self, action: Callable[[], T], key: str) -> T | None:
        def absent_or() -> T | None:
            try:
                return action()
            except FileNotFoundError as error:
                if code_behind(error) == "NoSuchBucket":
                    raise
                return None

        return self._insist(absent_or, key)

    def _insist(self, action: Callable[[], T], key: str) -> T:
        return insist(self.address(key), self.stop, action, _ATTEMPTS)

    def _call(self, method: str, **arguments: Any) -> Any:
        return self.filesystem.call_s3(method, self.filesystem.s3_additional_kwargs, Bucket=self.name, **arguments)


def _open(location: str) -> tuple[Any, str]:
    """Return the file system with which models are read as well, and the path within."""
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(location, **settings(location))
    except (ImportError, ValueError) as error:
        raise explain_protocol(error, location, location.partition("://")[0]) from None
    filesystem.retries = 1  # the client beneath tries again, and so do we
    return filesystem, path
