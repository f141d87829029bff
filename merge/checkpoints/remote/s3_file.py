"""An object of S3, read by ranges from addresses that are signed for a while, with the client of `HttpFile`.

s3fs finds the credentials, the region and the endpoint and signs; the bytes go the same way as those of the web: in
parts as they come, continued where they break off, with a look at the ETag of every answer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from ..checkpoint import FileIdentity
from .http_client import certificates
from .http_file import HttpFile
from .http_status import Answer
from .patience import TransientError
from .s3_errors import EXPIRED, answer_of, code_of, explain_code

PROTOCOLS = ("s3", "s3a")
SIGNED_SECONDS = 3600
_OWN_SETTINGS = ("verify", "use_ssl", "api_version")  # of its client, which another client would miss
_RENEWALS = 2


class S3File(HttpFile):
    """An object of S3.

    Args:
        filesystem: The file system of s3fs.
        path: ``bucket/key``.
        where: What stands for it in messages.
    """

    def __init__(self, filesystem: Any, path: str, where: str) -> None:
        super().__init__(filesystem.unstrip_protocol(path), where, explain=self._refused, locate=self._sign)
        self._filesystem, self._path, self._renewals = filesystem, path, 0

    def identity(self) -> FileIdentity:
        """Return what tells whether it is still the same file; its size must be known."""
        return super().identity()._replace(name=self._path.rpartition("/")[2])  # a key may hold a question mark

    def _sign(self) -> str:
        """Return an address by which the object can be read for a while.

        Raises:
            MergeError: There are no credentials, or they cannot be renewed.
        """
        from .filesystem_errors import explain

        options = {"RequestPayer": "requester"} if self._filesystem.req_kw else {}
        try:
            return str(self._filesystem.sign(self._path, expiration=SIGNED_SECONDS, **options))
        except Exception as error:
            raise explain(error, self.where) from None

    def _refused(self, answer: Answer) -> Exception | None:
        code = code_of(answer.content)
        if code in EXPIRED and self._renewals < _RENEWALS:
            self._renewals += 1
            with suppress(Exception):  # that is said when the address is signed
                self._filesystem.connect(refresh=True)  # reads the credentials anew from where they came
            return TransientError("the credentials have expired")
        return explain_code(answer, code, self.where)


def is_s3(filesystem: Any) -> bool:
    """Tell whether a file system of fsspec is that of s3fs."""
    protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
    return bool(set(protocols) & set(PROTOCOLS))


def is_signed(filesystem: Any) -> bool:
    """Tell whether the objects of a file system of s3fs can be read by another client, from addresses that it signs."""
    if os.environ.get("AWS_CA_BUNDLE", certificates()) != certificates():
        return False
    own = any(name in filesystem.client_kwargs for name in _OWN_SETTINGS)
    customer_keys = any(name.startswith("SSECustomer") for name in filesystem.s3_additional_kwargs)
    return not own and not customer_keys and "proxies" not in filesystem.config_kwargs


def settings(location: str) -> dict[str, Any]:
    """Return what must be said to fsspec so that addresses are signed in the way that every bucket accepts."""
    from fsspec.config import conf

    protocol = location.partition("://")[0].lower()
    if protocol not in PROTOCOLS:
        return {}
    known = {name: value for one in PROTOCOLS for name, value in conf.get(one, {}).get("config_kwargs", {}).items()}
    return {"config_kwargs": {"signature_version": "s3v4", **known}}


def detailed(filesystem: Any, path: str, error: Exception) -> Exception:
    """Return the refusal of a second request where the first, for the head alone, came without a reason."""
    refused = answer_of(error)
    if refused is None or not refused[1].isdigit() or refused[1] == "404":
        return error
    bucket, key, _ = filesystem.split_path(path)
    try:
        if key:
            filesystem.call_s3("get_object", Bucket=bucket, Key=key, Range="bytes=0-0")
        else:
            filesystem.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
    except Exception as again:
        return again
    return error


def described(filesystem: Any, path: str) -> dict[str, Any]:
    """Return what S3 says of an object, with its checksum."""
    bucket, key, version = filesystem.split_path(path)
    chosen = {"VersionId": version} if version else {}
    found: dict[str, Any] = filesystem.call_s3(
        "head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED", **chosen, **filesystem.req_kw
    )
    return found
