"""What a file is: its bytes say it, and in a folder its suffix says what is worth a look."""

from __future__ import annotations

from featcli import npy

HEAD = 512
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
}
READABLE = "PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, .npy, .npz or a tar of these"
_PICTURES = "png apng jpg jpeg jpe jfif mpo tif tiff bmp dib gif webp pnm pbm pgm ppm"
SUFFIXES = frozenset(f".{name}" for name in (*_PICTURES.split(), "npy", "npz", "tar"))


def sniff(head: bytes) -> str | None:
    """Say what the first `HEAD` bytes begin: a format of Pillow's, npy, npz, tar; else None."""
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n#":
        return "PPM"
    is_empty_tar = len(head) >= HEAD and not any(head[:HEAD])  # nothing but its end
    return "tar" if head[257:262] == b"ustar" or is_empty_tar else None
