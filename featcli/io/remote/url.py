"""URLs such as `s3://bucket/key`; messages and records only show scheme, bucket and key."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import NamedTuple, Self

from featcli.errors import UsageError

BUCKETS = ("s3", "gs", "az")
WEB = ("http", "https")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Parameters of signed URLs, which give access to anyone; object keys do not contain them.
_SIGNED = re.compile(r"[?&](x-amz-|x-goog-|awsaccesskeyid=|signature=|sig=|se=|token=)", re.I)


def is_url(text: str) -> bool:
    """Return whether a text starts like a URL, with any scheme."""
    return bool(_URL.match(text))


def scheme_of(text: str) -> str:
    """Return the scheme of a URL; raises UsageError for unknown ones."""
    found = _URL.match(text)
    scheme = found[1].lower() if found else ""
    if scheme not in (*BUCKETS, *WEB):
        raise UsageError(
            f"{scheme}:// is no place that featcli knows: give s3://, gs://, az://, https:// or a "
            "file"
        )
    return scheme


class Url(NamedTuple):
    """An object in a bucket, or all objects below a prefix.

    Attributes
    ----------
    scheme : {"s3", "gs", "az"}
    bucket : str
    key : str
        Without slashes at its ends; empty for the whole bucket.
    is_folder : bool
        Whether it ends with a slash or has no key.
    """

    scheme: str
    bucket: str
    key: str = ""
    is_folder: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a URL; raises UsageError, whose message never contains secrets."""
        scheme = scheme_of(text)
        if scheme not in BUCKETS:
            raise UsageError(f"{scheme}:// is read only: results go to s3://, gs:// or az://")
        bucket, _, key = text[len(scheme) + 3 :].partition("/")
        if "@" in bucket or ":" in bucket:
            raise UsageError(
                f"{scheme}://: a name or password before the bucket is not taken from a URL: "
                "credentials come from the environment"
            )
        if not _NAME.fullmatch(bucket):
            raise UsageError(f"{scheme}://: no bucket has such a name: {scheme}://BUCKET/KEY")
        if _SIGNED.search(key):
            raise UsageError(
                f"{scheme}://{bucket}: a signed address is one of https://, which reads one object"
            )
        is_folder = not key or key.endswith("/")
        pieces = key.strip("/").split("/")
        if key.strip("/") and not {"", ".", ".."}.isdisjoint(pieces):
            raise UsageError(f"{scheme}://{bucket}/{key}: an empty piece, '.' or '..' in the key")
        return cls(scheme, bucket, key.strip("/"), is_folder)

    @property
    def place(self) -> tuple[str, str]:
        """Scheme and bucket."""
        return self.scheme, self.bucket

    @property
    def name(self) -> str:
        """The last part of the key."""
        return posixpath.basename(self.key)

    @property
    def parent(self) -> Url:
        """The folder that contains it."""
        return self._replace(key=posixpath.dirname(self.key), is_folder=True)

    def below(self, key: str) -> Url:
        """Return the URL of a key relative to this one."""
        return self._replace(key=f"{self.key}/{key}" if self.key else key, is_folder=False)

    def holds(self, other: Url) -> bool:
        """Return whether another URL is this one or below it."""
        if self.place != other.place:
            return False
        return not self.key or f"{other.key}/".startswith(f"{self.key}/")

    def __str__(self) -> str:
        end = "/" if self.is_folder and self.key else ""
        return f"{self.scheme}://{self.bucket}/{self.key}{end}"


def seen_from(file: str, folder: Url | Path) -> str:
    """Return the path or URL of a file relative to the folder of a table.

    A URL is returned unchanged unless the folder is in the same bucket, and a path unless the
    folder is local.
    """
    if is_url(file):
        url = Url.parse(file) if scheme_of(file) in BUCKETS else None
        if url and isinstance(folder, Url) and url.place == folder.place:
            return posixpath.relpath(f"/{url.key}", f"/{folder.key}")
        return file
    if not file or isinstance(folder, Url):
        return file
    return os.path.relpath(file, folder)
