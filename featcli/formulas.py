"""Kernels with parameters, such as `gaussian:sigma=2`; each is a typed function.

In every formula `x` points right and `y` down, both counted from the centre.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
LARGEST = 1023
_DECIMAL = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = re.compile(rf"({_DECIMAL})(?:/({_DECIMAL}))?")


def number(word: str, where: str) -> float:
    """Parse a number, or a fraction such as `1/9`; `where` is the start of an error message."""
    match = _NUMBER.fullmatch(word)
    if match is None:
        raise ValueError(f"{where}: {quoted(word)} is not a number such as 2, -0.5 or 1/9")
    top, bottom = float(match[1]), float(match[2] or 1)
    if bottom == 0:
        raise ValueError(f"{where}: {quoted(word)} divides by zero")
    return top / bottom


def shortest(value: float) -> str:
    """Format a number as short as reads back exactly; integers have no decimal point."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def quoted(text: str) -> str:
    """Return `text` in quotes for a message, shortened to 40 characters."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


Shape = tuple[int, int]
_ALIASES = {"lambda": "wavelength"}


class Formula(NamedTuple):
    """A kernel with parameters, computed by one function; its docstring is the description."""

    name: str
    function: Callable[..., Matrix]

    @property
    def parameters(self) -> dict[str, Any]:
        """Each parameter's default, in the declared order; `inspect.Parameter.empty` if none."""
        signature = inspect.signature(self.function)
        return {name: parameter.default for name, parameter in signature.parameters.items()}

    @property
    def usage(self) -> str:
        """How to write it, such as `gaussian:sigma=...[,size=...]`."""
        words = [
            f",{name}=..." if default is inspect.Parameter.empty else f"[,{name}={default or 0}]"
            for name, default in self.parameters.items()
        ]
        return f"{self.name}:{''.join(words).replace(',', '', 1)}".replace("size=0", "size=...")

    @property
    def title(self) -> str:
        """The first line of its description, without the full stop."""
        return self._paragraph(0).removesuffix(".")

    @property
    def shows(self) -> str:
        """What it responds to: the second paragraph of its description."""
        return self._paragraph(1)

    @property
    def citation(self) -> str:
        """Its source in the literature: the last paragraph of its description."""
        return self._paragraph(-1).partition("---------- ")[2]

    def _paragraph(self, index: int) -> str:
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[index].split())

    def evaluate(self, words: str) -> tuple[str, Matrix]:
        """Return canonical text and values for parameters such as `sigma=2,size=9` or `7`."""
        try:
            given = self._arguments(words)
            values = self.function(**given)
        except ValueError as error:
            raise ValueError(f"kernel {self.name!r}: {error}") from error
        text = ",".join(f"{name}={_as_text(value)}" for name, value in given.items())
        return f"{self.name}:{text}" if text else self.name, values

    def _arguments(self, words: str) -> dict[str, Any]:
        """Parse the parameters; those that equal their default are left out."""
        known = self.parameters
        given: dict[str, float | Shape] = {}
        for position, word in enumerate(words.split(",") if words else ()):
            name, value = self._argument(word.strip(), first=position == 0)
            if name in given:
                raise ValueError(f"{name} is given twice")
            given[name] = value
        for name, default in known.items():
            if default is inspect.Parameter.empty and name not in given:
                raise ValueError(f"{name} is missing; write '{self.usage}'")
        return {name: given[name] for name in known if given.get(name, known[name]) != known[name]}

    def _argument(self, word: str, *, first: bool) -> tuple[str, float | Shape]:
        name, equals, value = word.rpartition("=")
        name = _ALIASES.get(name.strip(), name.strip())
        if first and not equals:
            name = next(iter(self.parameters))
        if name not in self.parameters:
            raise ValueError(f"{quoted(word)} sets no parameter; write '{self.usage}'")
        return name, _parse_value(value.strip(), name)


def _parse_value(word: str, name: str) -> float | Shape:
    if match := re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", word):
        rows, cols = int(match[1]), int(match[2])
        return (rows, cols) if rows != cols else rows
    value = number(word, name)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _as_text(value: float | Shape) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return shortest(float(value))


FORMULAS: dict[str, Formula] = {}
_Function = TypeVar("_Function", bound=Callable[..., Matrix])


def _formula(function: _Function) -> _Function:
    FORMULAS[function.__name__] = Formula(function.__name__, function)
    return function


@_formula
def gaussian(sigma: float, size: int | None = None) -> Matrix:
    """Gaussian blur, `exp(-(x**2 + y**2) / (2 sigma**2))` divided by its sum.

    Smooths: details smaller than about `sigma` pixels fade, without ringing. The taps are
    positive and sum to 1.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels, 0.1 to 1000.
    size : int, optional
        Rows and columns, odd; by default out to four standard deviations, as SciPy truncates.

    Returns
    -------
    ndarray of float64, (size, size)

    References
    ----------
    R. C. Gonzalez and R. E. Woods, Digital Image Processing, 4th ed., Pearson, 2018, section 3.5.
    """
    _check_between("sigma", sigma, 0.1, 1000)
    profile = np.exp(-0.5 * (_reach(size, sigma) / sigma) ** 2)
    profile /= profile.sum()
    return np.outer(profile, profile)


@_formula
def log(sigma: float, size: int | None = None) -> Matrix:
    """Laplacian of a Gaussian, `(x**2 + y**2 - 2 sigma**2) / sigma**4 * gaussian`.

    Negative in the middle of bright blobs of radius about `sqrt(2) sigma`, positive in dark ones,
    crossing zero at edges. The mean is subtracted: the taps sum to 0.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels, 0.1 to 1000.
    size : int, optional
        Rows and columns, odd; by default out to four standard deviations.

    Returns
    -------
    ndarray of float64, (size, size)

    References
    ----------
    D. Marr and E. Hildreth, Theory of edge detection, Proceedings of the Royal Society of London
    B 207, 1980, pp. 187-217.
    """
    blur = gaussian(sigma, size)
    squares = (np.arange(len(blur)) - len(blur) // 2) ** 2.0
    values = (squares[:, np.newaxis] + squares - 2 * sigma**2) / sigma**4 * blur
    return np.asarray(values - values.mean())


@_formula
def dog(sigma: float, k: float = 1.6, size: int | None = None) -> Matrix:
    """Difference of Gaussians, `gaussian(sigma) - gaussian(k * sigma)`.

    Positive in the middle of bright blobs, negative in dark ones: for k = 1.6 nearly the negative
    of the Laplacian of a Gaussian, up to a factor. The taps sum to 0.

    Parameters
    ----------
    sigma : float
        Standard deviation of the narrower one in pixels, 0.1 to 1000.
    k : float
        How many times as wide the other one is, above 1, to 100.
    size : int, optional
        Rows and columns, odd; by default out to four standard deviations of the wider one.

    Returns
    -------
    ndarray of float64, (size, size)

    References
    ----------
    D. Marr and E. Hildreth, Theory of edge detection, Proceedings of the Royal Society of London
    B 207, 1980, pp. 187-217; appendix B derives the ratio 1.6.
    """
    _check_between("sigma", sigma, 0.1, 1000)
    _check_between("k", k, math.nextafter(1, 2), 100)
    size = len(_reach(size, k * sigma))
    return gaussian(sigma, size) - gaussian(k * sigma, size)


@_formula
def gabor(
    theta: float = 0,
    sigma: float = 2,
    wavelength: float = 4,
    *,
    gamma: float = 1,
    psi: float = 0,
    size: int | None = None,
) -> Matrix:
    """Gabor, a cosine wave in a Gaussian window.

    Responds to stripes that are `wavelength` apart and perpendicular to the direction `theta`: 0
    finds vertical stripes, 90 horizontal ones. The taps are not scaled to a sum of 0 or 1.

    Parameters
    ----------
    theta : float
        Direction of the wave in degrees, from the right (0) towards the bottom (90).
    sigma : float
        Standard deviation of the window along the wave in pixels, 0.1 to 1000.
    wavelength : float
        Pixels from crest to crest, 2 to 1000; also called `lambda`.
    gamma : float
        How many times as narrow the window is across the wave, 0.01 to 100.
    psi : float
        Phase in degrees: 0 is even (a line), 90 and -90 are odd (an edge).
    size : int, optional
        Rows and columns, odd; by default out to four standard deviations of the longer axis.

    Returns
    -------
    ndarray of float64, (size, size)

    Notes
    -----
    `exp(-(u**2 + (gamma v)**2) / (2 sigma**2)) * cos(2 pi u / wavelength + psi)` with
    `u = x cos(theta) + y sin(theta)` and `v = y cos(theta) - x sin(theta)`: `theta` turns clockwise
    in the picture, as in scikit-image and OpenCV. In OpenCV `psi` has the opposite sign.

    References
    ----------
    J. G. Daugman, Uncertainty relation for resolution in space, spatial frequency, and orientation
    optimized by two-dimensional visual cortical filters, Journal of the Optical Society of America
    A 2(7), 1985, pp. 1160-1169.
    """
    _check_between("sigma", sigma, 0.1, 1000)
    _check_between("wavelength", wavelength, 2, 1000)
    _check_between("gamma", gamma, 0.01, 100)
    _check_between("theta", theta, -360, 360)
    _check_between("psi", psi, -360, 360)
    x = _reach(size, sigma * max(1.0, 1 / gamma))
    y = x[:, np.newaxis]
    cos, sin = _direction(theta)
    u, v = x * cos + y * sin, y * cos - x * sin
    window = np.exp(-0.5 * ((u / sigma) ** 2 + (v * gamma / sigma) ** 2))
    return np.asarray(window * np.cos(2 * np.pi * u / wavelength + math.radians(psi)))


@_formula
def box(size: int | Shape) -> Matrix:
    """Box blur, the mean of a rectangle: every tap is `1 / (rows * cols)`.

    Smooths: each pixel becomes the mean of its neighbourhood. The taps sum to 1.

    Parameters
    ----------
    size : int or (int, int)
        Rows and columns, `7` or `3x5`, 1 to 1023.

    Returns
    -------
    ndarray of float64, (rows, cols)

    References
    ----------
    R. C. Gonzalez and R. E. Woods, Digital Image Processing, 4th ed., Pearson, 2018, section 3.5.
    """
    rows, cols = size if isinstance(size, tuple) else (size, size)
    _check_size("size", rows)
    _check_size("size", cols)
    return np.full((rows, cols), 1 / (rows * cols))


@_formula
def motion(length: float, angle: float = 0) -> Matrix:
    """Motion blur: a line one pixel wide, `max(0, 1 - distance to the line)` divided by its sum.

    Blurs as a straight movement of `length` pixels would; lines in that direction stay sharp. The
    taps sum to 1.

    Parameters
    ----------
    length : float
        Pixels, 1 to 1000.
    angle : float
        Direction in degrees, counter-clockwise in the picture: 0 is horizontal, 45 rises to the
        right.

    Returns
    -------
    ndarray of float64, (size, size)
        `size` is the smallest odd number that holds the line in every direction.

    References
    ----------
    R. C. Gonzalez and R. E. Woods, Digital Image Processing, 4th ed., Pearson, 2018, section 5.6
    (blur by uniform linear motion).
    """
    _check_between("length", length, 1, 1000)
    _check_between("angle", angle, -360, 360)
    half = (length - 1) / 2
    x = _reach(2 * math.ceil(half) + 1, 1)
    y = x[:, np.newaxis]
    cos, sin = _direction(angle)
    beyond = np.maximum(np.abs(x * cos - y * sin) - half, 0)
    weights = np.maximum(1 - np.hypot(beyond, x * sin + y * cos), 0)
    return np.asarray(weights / weights.sum())


def _reach(size: int | None, sigma: float) -> Matrix:
    """Return the coordinates -radius..radius of `size` taps; the default radius is 4 `sigma`."""
    if size is None:
        size = 2 * int(4 * sigma + 0.5) + 1
        if size > LARGEST:
            raise ValueError(
                f"needs {size} x {size} taps, more than {LARGEST} x {LARGEST}; set size"
            )
    _check_size("size", size)
    if size % 2 == 0:
        raise ValueError(f"size must be odd, to have a centre, not {size}")
    return np.arange(size, dtype=np.float64) - size // 2


def _direction(degrees: float) -> tuple[float, float]:
    # Rounded so that 90 degrees is exactly vertical, without taps of 1e-17 beside the line.
    angle = math.radians(degrees)
    return round(math.cos(angle), 15), round(math.sin(angle), 15)


def _check_between(name: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, (int, float, np.number)) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value}")


def _check_size(name: str, value: object) -> None:
    if not isinstance(value, (int, np.integer)) or not 1 <= value <= LARGEST:
        raise ValueError(f"{name} must be a whole number from 1 to {LARGEST}, not {value}")
