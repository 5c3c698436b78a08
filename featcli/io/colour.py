"""From stored values to grey, RGB or maps: colour spaces, profiles, transparency, value range."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from featcli.errors import UsageError
from featcli.io.options import ReadOptions
from featcli.io.raster import Array, Job, Raster

# What each EXIF orientation needs to be upright (EXIF 2.32, tag 0x0112): counterclockwise turns by
# 90 degrees, then whether to mirror it left to right.
_UPRIGHT = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True)}
_UPRIGHT |= {6: (3, False), 7: (1, True), 8: (1, False)}
_NAMES = {"gray": ("gray",), "RGB": ("R", "G", "B")}
_COLOURS = {"gray": 1, "RGB": 3, "CMYK": 4, "LAB": 3}
_ROWS = 64  # converted at a time, so that intermediate results take little memory
_PROFILED = {"gray": ("L", "GRAY"), "RGB": ("RGB", "RGB"), "CMYK": ("CMYK", "CMYK")}
_WHITE = np.array([0.9642, 1.0, 0.8249], np.float32)  # D50: the white of LAB in TIFF and ICC
# XYZ with that white to linear sRGB: primaries of IEC 61966-2-1, Bradford adaptation.
_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ],
    np.float32,
)


def finished(raster: Raster, job: Job) -> tuple[Array, tuple[str, ...]]:
    """Return an upright grey, RGB or maps array, and the names of its channels."""
    raster = _in_rgb(raster, job)
    raster = _opaque(raster, job)
    names = _NAMES.get(raster.space, ())
    count = raster.data.shape[2]
    names += tuple(str(number) for number in range(len(names), count - bool(raster.alpha)))
    names += ("A",) if raster.alpha else ()
    return _upright(_scaled(raster.data, raster.top, job.options), raster.orientation), names


def _in_rgb(raster: Raster, job: Job) -> Raster:
    """Convert CMYK and LAB to RGB, with the file's colour profile if that is requested."""
    if raster.profile and job.options.icc == "srgb" and raster.space in _PROFILED:
        converted = _by_profile(raster, job)
        if converted is not None:
            return converted
    if raster.space == "CMYK":
        job.note("its CMYK colours became RGB")
        return _mapped(raster, lambda part: _from_cmyk(part, int(raster.top)))
    if raster.space == "LAB":
        job.note("its LAB colours became RGB")
        return _mapped(raster, lambda part: _from_lab(part, raster.top))
    return raster


def _mapped(raster: Raster, convert: Callable[[Array], Array]) -> Raster:
    """Convert the colours, some rows at a time; alpha is kept."""
    colours = _COLOURS[raster.space]
    parts = []
    for row in range(0, len(raster.data), _ROWS):
        part = raster.data[row : row + _ROWS]
        found = convert(part[:, :, :colours])
        alpha = part[:, :, colours:].astype(found.dtype)
        parts.append(np.concatenate([found, alpha], axis=2))
    return raster._replace(data=np.concatenate(parts), space="RGB")


def _from_cmyk(inks: Array, top: int) -> Array:
    """Return (1 - c)(1 - k) for each ink, rounded to nearest."""
    paper = top - inks[:, :, 3:].astype(np.uint64)
    covered = (inks[:, :, :3] * paper + top // 2) // top
    return np.asarray(paper - covered).astype(inks.dtype)


def _from_lab(lab: Array, top: float) -> Array:
    """Return sRGB, clipping colours outside of it (CIE 15, IEC 61966-2-1)."""
    y = (lab[:, :, 0] + 16) / 116
    f = np.stack([y + lab[:, :, 1] / 500, y, y - lab[:, :, 2] / 200], axis=2)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE
    linear = np.clip(xyz @ _TO_SRGB.T, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(curved * top).astype(np.uint8 if top == 255 else np.uint16)


def _by_profile(raster: Raster, job: Job) -> Raster | None:
    """Convert to 8-bit sRGB by LittleCMS; None if the profile cannot be used."""
    from PIL import ImageCms

    mode, space = _PROFILED[raster.space]
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(raster.profile))
        if profile.profile.xcolor_space.strip() != space:
            job.note(f"its colour profile is not one for {space} and is not applied")
            return None
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(profile, target, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        job.note("its colour profile is broken and not applied")
        return None
    if raster.data.dtype != np.uint8:
        job.note(f"its {raster.data.dtype} colours became 8-bit by --icc srgb")
    data = _bytes(raster.data, raster.top)
    colours = _COLOURS[raster.space]
    whole = np.ascontiguousarray(data[:, :, :colours])
    image = Image.fromarray(whole[:, :, 0] if colours == 1 else whole, mode)
    found = np.asarray(transform.apply(image))
    if raster.space == "gray":
        found = found[:, :, 1:2]
    found = np.concatenate([found, data[:, :, colours:]], axis=2)
    return raster._replace(data=found, top=255, space="gray" if raster.space == "gray" else "RGB")


def _opaque(raster: Raster, job: Job) -> Raster:
    """Blend transparent pixels with the background colour, or keep alpha as a channel."""
    if not raster.alpha:
        return raster
    background = job.options.background
    if background == "keep":
        if raster.alpha == "premultiplied":
            job.note("its colours were multiplied by its transparency, and are divided by it")
            raster = raster._replace(data=_divided(raster.data, raster.top))
        return raster._replace(alpha="straight")
    if raster.data[:, :, -1].min() >= raster.top:
        return raster._replace(data=raster.data[:, :, :-1], alpha="")
    job.note(f"its transparency is blended with {background} (see --background)")
    paper = np.array(background_colour(background)[:3])
    if raster.data.shape[2] == 2 and len(set(paper.tolist())) > 1:
        raster = raster._replace(data=raster.data[:, :, [0, 0, 0, 1]], space="RGB")
    paper = paper[: raster.data.shape[2] - 1]
    rows = range(0, len(raster.data), _ROWS)
    parts = [_laid_over(raster.data[row : row + _ROWS], paper, raster) for row in rows]
    return raster._replace(data=np.concatenate(parts), alpha="")


def _laid_over(data: Array, paper: Array, raster: Raster) -> Array:
    """Compute (colour * alpha + paper * (top - alpha)) / top, rounded to nearest."""
    colour, alpha, top = data[:, :, :-1], data[:, :, -1:], raster.top
    if data.dtype.kind != "u":
        cover = np.clip(alpha / top, 0, 1)
        shown = colour if raster.alpha == "premultiplied" else colour * cover
        return np.asarray(shown + paper / 255 * top * (1 - cover)).astype(data.dtype)
    # 65535 squared plus half of 65535 just fits into 32 bits.
    wide: Any = np.uint32 if data.dtype.itemsize <= 2 else np.uint64
    whole, cover = wide(int(top)), alpha.astype(wide)
    papers = (paper.astype(np.uint64) * int(top) // 255).astype(wide)
    factor: Any = whole if raster.alpha == "premultiplied" else cover
    if raster.alpha == "premultiplied":
        colour = np.minimum(colour, alpha)
    mixed = colour.astype(wide) * factor + papers * (whole - cover)
    return np.asarray((mixed + whole // wide(2)) // whole).astype(data.dtype)


def _divided(data: Array, top: float) -> Array:
    """Convert colours from premultiplied to straight alpha."""
    alpha = data[:, :, -1:].astype(np.float64)
    colour = data[:, :, :-1] * (top / np.where(alpha > 0, alpha, 1)) * (alpha > 0)
    if data.dtype.kind != "f":
        colour = np.rint(np.minimum(colour, top))
    return np.concatenate([colour.astype(data.dtype), data[:, :, -1:]], axis=2)


def background_colour(name: str) -> tuple[int, ...]:
    """Return the value of a colour name or #rrggbb; raises UsageError."""
    try:
        return ImageColor.getrgb(name)
    except ValueError:
        raise UsageError(
            f"--background: {name!r} is not a colour: give a name, #rrggbb or keep"
        ) from None


def _scaled(data: Array, top: float, options: ReadOptions) -> Array:
    if options.unit and data.dtype.kind in "iu":
        return (data / np.float32(top)).astype(np.float32)
    if options.as_bytes and top != 255 and data.dtype.kind in "iu":
        return _bytes(data, top)
    return data


def _bytes(data: Array, top: float) -> Array:
    """Return the numbers scaled to 0..255."""
    if data.dtype == np.uint8 and top == 255:
        return data
    return np.rint(data * (255 / top)).clip(0, 255).astype(np.uint8)


def _upright(data: Array, orientation: int) -> Array:
    turns, mirrored = _UPRIGHT.get(orientation, (0, False))
    turned = np.rot90(data, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
