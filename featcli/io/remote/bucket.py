"""Buckets: requests with retries, and errors explained in one line.

obstore connects, signs requests and retries after server and network errors, waiting longer each
time. Its error messages are not passed on, because they may contain signed URLs.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, BinaryIO, NamedTuple

from featcli.budget import format_size
from featcli.errors import FeatError, ReadError, Unwritable, UsageError
from featcli.extras import extra
from featcli.io.remote.credentials import HINTS, allows_plain, settings_of_aws
from featcli.io.remote.url import WEB, Url, scheme_of

LARGEST = 5 * 1024**3  # maximum size of one PUT, in bytes
_PIECE = 1 << 23  # bytes per GET request
_SLOWEST = 1 << 18  # bytes per second; a slower PUT times out
_PATIENCE = 60  # seconds during which a request is retried
_FIRST = {"max_retries": 2, "retry_timeout": timedelta(seconds=8)}
_LATER = {
    "max_retries": 200,
    "retry_timeout": timedelta(seconds=_PATIENCE),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5)},
}
_MARK = "featcli"  # metadata key of an object's mark; see `Bucket.mark`
Content = bytes | mmap.mmap


class Meta(NamedTuple):
    """The metadata of an object."""

    key: str
    size: int
    etag: str

    @property
    def state(self) -> dict[str, Any]:
        """Size and ETag, to detect changes; spaces in the ETag are replaced."""
        return {"size": self.size, "etag": f'"{self.etag.strip(chr(34))}"'.replace(" ", "_")}


class Changed(FeatError):
    """An object already exists, or is not the expected one."""


class Absent(ReadError):
    """An object does not exist."""


class Bucket:
    """A bucket of an object store.

    Parameters
    ----------
    scheme : {"s3", "gs", "az"}
    name : str
    """

    def __init__(self, scheme: str, name: str) -> None:
        self.scheme, self.name = scheme, name
        self._obstore = extra("obstore", "remote")
        self._is_checked = False
        self._stores: dict[tuple[bool, int], Any] = {}

    def _store(self, is_first: bool = False, seconds: int = 30) -> Any:
        """Return a cached connection; with `is_first`, it gives up sooner."""
        found = self._stores.get((is_first, seconds))
        if found is None:
            found = self._stores[is_first, seconds] = self._connect(is_first, seconds)
        return found

    def _connect(self, is_first: bool, seconds: int) -> Any:
        stores = extra("obstore.store", "remote")
        client: dict[str, Any] = {"connect_timeout": "3s", "timeout": f"{seconds}s"}
        settings = settings_of_aws() if self.scheme == "s3" else {}
        # An explicit endpoint without TLS, such as a test server, is allowed.
        is_plain = str(settings.get("endpoint", "")).startswith("http://")
        client["allow_http"] = is_plain or allows_plain(self.scheme)
        kind = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}[self.scheme]
        retry = _FIRST if is_first else _LATER
        try:
            return kind(self.name, client_options=client, retry_config=retry, **settings)
        except Exception as error:
            raise UsageError(
                f"{self}: no connection can be set up: check the variables of the environment that "
                f"say how ({HINTS[self.scheme]})"
            ) from error

    def __str__(self) -> str:
        return f"{self.scheme}://{self.name}"

    # Reading

    def check(self, key: str = "") -> None:
        """Check that the bucket exists and can be listed; raises UsageError if not.

        It does nothing after the first success in a process.
        """
        if self._is_checked:
            return
        try:
            first = iter(self._obstore.list(self._store(True), key or None, chunk_size=1))
            _patiently(lambda: next(first, None))
        except Exception as error:
            found = self._explained(error, key, "list")
            is_wrong = isinstance(found, UsageError) or _status(error) in (301, 400, 401, 403, 404)
            raise (UsageError(str(found)) if is_wrong else found) from error
        self._is_checked = True

    def head(self, key: str) -> Meta | None:
        """Return the metadata of an object; None if it does not exist."""
        try:
            return _meta(_patiently(lambda: self._obstore.head(self._store(), key)))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._explained(error, key, "read") from error

    def mark(self, key: str) -> str:
        """Return the mark that `put` stored with an object, or an empty string."""
        try:
            options = {"head": True}
            found = _patiently(lambda: self._obstore.get(self._store(), key, options=options))
            return str(found.attributes.get(_MARK, ""))
        except FileNotFoundError:
            return ""
        except Exception as error:
            raise self._explained(error, key, "read") from error

    def list(self, prefix: str) -> Iterator[list[Meta]]:
        """Yield all objects below a prefix, page by page."""
        try:
            found = iter(self._obstore.list(self._store(), prefix or None, chunk_size=1000))
            while some := _patiently(lambda: next(found, None)):
                yield [_meta(one) for one in some]
        except Exception as error:
            raise self._explained(error, prefix, "list") from error

    def read(self, key: str, begin: int, end: int, etag: str = "") -> bytes:
        """Read a range of bytes, if the ETag still matches; raises Absent, ReadError."""
        options: dict[str, Any] = {"range": (begin, end)} | ({"if_match": etag} if etag else {})
        try:
            store = self._store()
            return bytes(_patiently(lambda: self._obstore.get(store, key, options=options).bytes()))
        except FileNotFoundError as error:
            raise Absent(f"{self}/{key}: there is no such object") from error
        except Exception as error:
            if type(error).__name__ == "PreconditionError":
                raise ReadError(f"{self}/{key}: it was changed while it was read") from error
            raise self._explained(error, key, "read") from error

    def pieces(self, meta: Meta) -> Iterator[bytes]:
        """Yield the content of an object in pieces, and retry each one separately."""
        for begin in range(0, meta.size, _PIECE):
            end = min(begin + _PIECE, meta.size)
            piece = self.read(meta.key, begin, end, meta.etag)
            if len(piece) != end - begin:
                raise ReadError(f"{self}/{meta.key}: it ended too early")
            yield piece

    def get(self, key: str, most: int, meta: Meta | None = None) -> bytes:
        """Read a whole object; raises Absent, or ReadError if it exceeds `most` bytes."""
        meta = meta or self.head(key)
        if meta is None:
            raise Absent(f"{self}/{key}: there is no such object")
        if meta.size > most:
            raise ReadError(f"{self}/{key}: larger than {format_size(most)} (see --max-memory)")
        return b"".join(self.pieces(meta))

    # Writing

    def put(self, key: str, content: Content, mode: str = "create", mark: str = "") -> Meta:
        """Write an object with a single PUT.

        Parameters
        ----------
        key : str
        content : bytes or mmap
        mode : str
            `"create"` if it must not exist, `"overwrite"`, or the ETag of the object to replace.
        mark : str
            Stored as metadata of the object; lost when another program replaces it.

        Raises
        ------
        Changed
            Another object exists. One with the same content is accepted, because it may come from
            an attempt whose response was lost.
        """
        size = len(content)
        if size > LARGEST:
            raise Unwritable(
                f"{self}/{key}: {format_size(size)} are more than one object may have by one PUT "
                f"({format_size(LARGEST)}): give several files to -o, as x-%05d.tar or a folder of "
                "parts"
            )
        store, deadline = self._store(seconds=30 + size // _SLOWEST), time.monotonic() + _PATIENCE
        how = self._condition(key, mode)
        about = {_MARK: mark} if mark else None
        for number in range(1000):
            try:
                found = _patiently(
                    lambda: self._obstore.put(
                        store, key, content, mode=how, attributes=about, use_multipart=False
                    )
                )
                return Meta(key, size, _quoted(found["e_tag"] or ""))
            except Exception as error:
                same = self._after(error, key, content, deadline)
                if same:
                    return same
                time.sleep(min(0.1 * 2**number, 5))
        raise AssertionError

    def _condition(self, key: str, mode: str) -> Any:
        """Return obstore's mode for a conditional PUT; raises Changed if it would fail."""
        if mode in ("create", "overwrite"):
            return mode
        if self.scheme != "gs":
            return {"e_tag": mode}
        # Google compares generation numbers instead, which a HEAD request returns.
        try:
            found = _patiently(lambda: self._obstore.head(self._store(), key))
        except FileNotFoundError as error:
            raise Changed(f"{self}/{key}") from error
        except Exception as error:
            raise self._explained(error, key, "write", Unwritable) from error
        if _meta(found).etag != mode:
            raise Changed(f"{self}/{key}")
        return {"e_tag": mode, "version": str(found["version"])}

    def _after(self, error: Exception, key: str, content: Content, deadline: float) -> Meta | None:
        """Return the object if a failed PUT wrote it, or None to retry; raises other errors."""
        is_refused = type(error).__name__ in ("AlreadyExistsError", "PreconditionError")
        is_passing = not is_refused and _status(error) in (None, 409, 429, 500, 502, 503, 504)
        if is_refused or (is_passing and time.monotonic() < deadline):
            found = self.head(key)
            if found and self._holds(found, content):
                return found
            if is_passing:
                return None
            raise Changed(f"{self}/{key}") from error
        raise self._explained(error, key, "write", Unwritable) from error

    def _holds(self, meta: Meta, content: Content) -> bool:
        if meta.size != len(content):
            return False
        at = 0
        for piece in self.pieces(meta):
            if piece != content[at : at + len(piece)]:
                return False
            at += len(piece)
        return True

    def put_file(self, key: str, file: BinaryIO, mode: str = "create", mark: str = "") -> Meta:
        """Write an open file as an object, without reading it into memory."""
        file.flush()
        if not os.fstat(file.fileno()).st_size:
            return self.put(key, b"", mode, mark)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return self.put(key, content, mode, mark)

    def delete(self, key: str) -> None:
        """Delete an object; do nothing if it does not exist."""
        try:
            _patiently(lambda: self._obstore.delete(self._store(), key))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._explained(error, key, "write", Unwritable) from error

    # Errors

    def _explained(
        self, error: Exception, key: str, what: str, kind: type[FeatError] = ReadError
    ) -> FeatError:
        """Return an error without obstore's message, which may contain a signed URL."""
        if isinstance(error, FeatError):
            return error
        return kind(f"{self}/{key}: {self._reason(error, what)}")

    def _reason(self, error: Exception, what: str) -> str:
        text, status, code = str(error), _status(error), _code(error)
        is_no_bucket = status == 404 and (what != "read" or code == "NoSuchBucket")
        reasons = (
            (
                "169.254.169.254" in text or "MissingCredentials" in text,
                f"no credentials were found: set {HINTS[self.scheme]}",
            ),
            (is_no_bucket, "there is no such bucket"),
            (
                status in (401, 403),
                f"no permission to {what} here{f' ({code})' if code else ''}",
            ),
            (status == 301, "the bucket is in another region: name it by AWS_REGION"),
            (
                status is not None,
                f"the server answers {status}{f' ({code})' if code else ''}",
            ),
            (
                "InvalidPath" in f"{type(error).__name__} {text}",
                "a key with an empty piece, '.' or '..' in it, which is no path",
            ),
        )
        unknown = "the server cannot be reached, or does not answer"
        return next((reason for holds, reason in reasons if holds), unknown)


def _patiently(call: Callable[[], Any]) -> Any:
    """Run a call in a thread, so that Ctrl-C interrupts it; obstore reacts only when done."""
    if threading.current_thread() is not threading.main_thread():
        return call()
    answers: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            answers.append((call(), None))
        except BaseException as error:
            answers.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join()
    found, error = answers[0]
    if error:
        raise error
    return found


def _meta(found: Any) -> Meta:
    etag = _quoted(found["e_tag"]) if found["e_tag"] else str(found["last_modified"])
    return Meta(found["path"], found["size"], etag)


def _quoted(etag: str) -> str:
    """Return an ETag in quotes, as HTTP requires; Azure lists ETags without them."""
    return f'"{etag}"' if etag and '"' not in etag else etag


def _status(error: Exception) -> int | None:
    """Return the HTTP status code that an error contains."""
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def _code(error: Exception) -> str:
    """Return the server's error code, such as NoSuchBucket."""
    found = re.search(r"<Code>([A-Za-z]{1,60})</Code>", str(error))
    return found[1] if found else ""


@functools.lru_cache(maxsize=16)
def _bucket(scheme: str, name: str) -> Bucket:
    return Bucket(scheme, name)


def bucket_of(url: Url) -> Bucket:
    """Return the bucket of a URL, cached per process; raises UsageError without the extra."""
    return _bucket(url.scheme, url.bucket)


def is_gone(file: str) -> bool:
    """Return whether an object no longer exists; always False on the web, or after an error."""
    try:
        if scheme_of(file) in WEB:
            return False
        url = Url.parse(file)
        return bucket_of(url).head(url.key) is None
    except FeatError:
        return False
