"""Drawing pictures on a terminal with Rich."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from featcli.cli.environment import chosen
from featcli.view.terminal import RGB, half_blocks, limited, xterm_colours

Pixels = npt.NDArray[np.uint8]
_SHADES = " .:-=+*#%@"


class Screen(Console):
    """A console that leaves a broken pipe to `main`."""

    def on_broken_pipe(self) -> None:
        """Raise the error, where Rich would exit with code 1."""
        raise BrokenPipeError


_LINES_BESIDE = 3  # of text beside a picture
_BLOCK_WIDTH = 6  # characters of a value in a column


def console() -> Screen:
    """Return a console for standard output that does not change text."""
    choice = chosen("FEATCLI_COLOR")
    system: Literal["truecolor", "auto"] = "truecolor" if choice == "always" else "auto"
    plain = True if choice == "never" else None
    return Screen(
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
        color_system=system,
        no_color=plain,
    )


def room(screen: Console) -> int | None:
    """Return the height available for a picture, in lines; None if there is no limit."""
    return max(4, screen.height - _LINES_BESIDE) if screen.is_terminal else None


def show_pixels(screen: Console, pictures: Sequence[Pixels], columns: int) -> None:
    """Print pictures side by side, each `columns` wide at most.

    A character shows two pixels; without colours it shows one, as a character of similar darkness.
    """
    colours = _palette(screen)
    drawn = [half_blocks(pixels, columns, room(screen), colours) for pixels in pictures]
    plain = screen.color_system is None or screen.no_color
    blank = [(None, None)] * columns
    for number in range(max(map(len, drawn))):
        cells: list[tuple[RGB | None, RGB | None]] = []
        for rows in drawn:
            row = rows[number] if number < len(rows) else []
            cells += [*row, *blank[len(row) :], (None, None)] if rows is not drawn[-1] else row
        if plain:
            screen.print("".join(_shade(upper, lower or upper) for upper, lower in cells).rstrip())
        else:
            segments = [_half_block(screen, upper, lower) for upper, lower in cells]
            screen.print(Segments([*segments, Segment.line()]), end="")


def show_column(
    screen: Console, pixels: Pixels, names: Sequence[str], numbers: Sequence[str]
) -> None:
    """Print a line for each pixel of a column: its name, its colour and its value."""
    plain = screen.color_system is None or screen.no_color
    width = max(map(len, names))
    for shade, name, number in zip(pixels.reshape(len(pixels), -1), names, numbers, strict=True):
        red, green, blue = (int(one) for one in (shade if len(shade) == 3 else shade.repeat(3)))
        if plain:
            block = Segment(_BLOCK_WIDTH * _shade((red, green, blue), (red, green, blue)))
        else:
            block = Segment(" " * _BLOCK_WIDTH, Style(bgcolor=colour(screen, (red, green, blue))))
        line = [Segment(f"{name:>{width}} "), block, Segment(f" {number}"), Segment.line()]
        screen.print(Segments(line), end="")


def _palette(screen: Console) -> Pixels | None:
    """Return the palette of the terminal; None if it can show any colour."""
    numbers = _palette_numbers(screen.color_system)
    return np.array(list(numbers), np.uint8) if numbers else None


@cache
def _palette_numbers(system: str | None) -> dict[RGB, int]:
    """Return the numbers of the palette's colours; empty if there is no palette.

    Of 16 colours only the greys are used: users often change the others.
    """
    if system in ("standard", "windows"):
        return {(0, 0, 0): 0, (127, 127, 127): 8, (229, 229, 229): 7, (255, 255, 255): 15}
    if system != "256":
        return {}
    colours = [(int(r), int(g), int(b)) for r, g, b in xterm_colours()]
    return {rgb: number for number, rgb in reversed(list(enumerate(colours, 16)))}


def _half_block(screen: Console, upper: RGB | None, lower: RGB | None) -> Segment:
    if upper is None:
        return Segment(" ")
    back = colour(screen, lower) if lower else None
    return Segment("▀", Style(color=colour(screen, upper), bgcolor=back))


def colour(screen: Console, rgb: RGB) -> Color:
    """Return the terminal's closest colour; Rich's own choice is less close."""
    numbers = _palette_numbers(screen.color_system)
    if not numbers:
        return Color.from_rgb(*rgb)
    if rgb not in numbers:
        pixel = np.array([[rgb]], np.uint8)
        red, green, blue = limited(pixel, np.array(list(numbers), np.uint8), False)[0, 0].tolist()
        rgb = (red, green, blue)
    return Color.from_ansi(numbers[rgb])


def _shade(upper: RGB | None, lower: RGB | None) -> str:
    if upper is None or lower is None:
        return " "
    brightness = (sum(upper) + sum(lower)) / (6 * 255)
    return _SHADES[round(brightness * (len(_SHADES) - 1))]
