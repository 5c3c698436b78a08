"""File formats, recognized by their first bytes or, in folders, by their suffix."""

from __future__ import annotations

import importlib.util
from pathlib import PurePath
from typing import NamedTuple

from featcli import npy

HEAD = 512
_LONGEST_SUFFIX = 10
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    npy.MAGIC: "npy",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
# Brands of the ISO base media file format (ISO/IEC 23008-12, annex B; AVIF, section 6).
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"}
_BRANDS |= dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIF")
_BRANDS |= dict.fromkeys((b"mif1", b"msf1"), "HEIF")
READABLE = "PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, ... : featcli info --formats lists them"


class Format(NamedTuple):
    """A file format: its suffixes, and how to install what is missing to read it, if anything."""

    name: str
    suffixes: str
    missing: str = ""


_FORMATS = (
    Format("PNG", ".png .apng"),
    Format("JPEG", ".jpg .jpeg .jpe .jfif .mpo"),
    Format("TIFF", ".tif .tiff"),
    Format("BMP", ".bmp .dib"),
    Format("GIF", ".gif"),
    Format("WebP", ".webp"),
    Format("PNM", ".pnm .pbm .pgm .ppm"),
    Format("AVIF", ".avif .avifs"),
    Format("HEIF", ".heic .heif .hif"),
    Format("JPEG XL", ".jxl"),
    Format("JPEG 2000", ".jp2 .j2k .jpf .jpx"),
    Format("NumPy", ".npy .npz"),
    Format("tar", ".tar"),
)
SUFFIXES = frozenset(suffix for one in _FORMATS for suffix in one.suffixes.split())
_MODULES = {"HEIF": "pillow_heif", "JPEG XL": "imagecodecs", "JPEG 2000": "imagecodecs"}


def formats() -> list[Format]:
    """Return the formats that featcli can read, here or after installing an extra.

    The list is complete: decoders of other formats are never used.
    """
    return [one._replace(missing=_missing(one.name)) for one in _FORMATS]


def _missing(name: str) -> str:
    """Return what must be installed for a format; empty if nothing."""
    if name == "AVIF":
        from PIL import features

        return "" if features.check("avif") else "needs a newer Pillow"
    module = _MODULES.get(name)
    if module and importlib.util.find_spec(module) is None:
        return "pip install 'featcli[formats]'"
    if name == "TIFF" and importlib.util.find_spec("tifffile") is None:
        return "read; for LERC, JPEG 2000, ... inside: pip install 'featcli[formats]'"
    return ""


def sniff(head: bytes) -> str | None:
    """Return the format of a file by its first `HEAD` bytes: an image format, npy, npz or tar."""
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp" and (brand := _brand(head)):
        return brand
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n#":
        return "PNM"
    return "tar" if head[257:262] == b"ustar" else None


def _brand(head: bytes) -> str | None:
    """Return the format of an ISO media file by its brand, or by its compatible brands."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    if brands[0] in (b"mif1", b"msf1"):  # general brands; the compatible ones are more specific
        brands = [*brands[1:], brands[0]]
    return next((_BRANDS[one] for one in brands if one in _BRANDS), None)


def may_be_empty_tar(head: bytes) -> bool:
    """Return whether these bytes may be an empty tar: all zeros, as in some other files."""
    return len(head) >= HEAD and not any(head[:HEAD])


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is ignored: `.x`, and what macOS adds."""
    return (name[:1] == "." and name not in (".", "..")) or name == "__MACOSX"


def suffix_of(name: str) -> str:
    """Return the suffix by which a skipped file is counted; empty if it has none."""
    suffix = PurePath(name).suffix.lower()
    return suffix if suffix[1:].isalnum() and len(suffix) <= _LONGEST_SUFFIX else ""
