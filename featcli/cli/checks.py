"""Click callbacks that check the values of options."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

Callback = Callable[[click.Context, click.Parameter, Any], Any]


def callback(parse: Callable[[str], Any]) -> Callback:
    """Return the Click callback of an option whose text `parse` parses.

    Its ValueError becomes the error of the command; an option that is not given stays None.
    """

    @wraps(parse)
    def parsed(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return parsed


@callback
def path(value: str) -> str:
    """Refuse an empty path, and an option taken for a path because the path was forgotten."""
    if not value:
        raise ValueError("is empty: name a folder or a file")
    if value.startswith("-") and value != "-":
        raise ValueError(f"{value!r} looks like an option; if it is a name, give ./{value}")
    return value


@callback
def size(value: str) -> str:
    """Check a size in bytes, such as 500MB; return the text unchanged."""
    from featcli.budget import parse_size

    parse_size(value)
    return value


@callback
def memory(value: str) -> int:
    """Return a size in bytes as a number; raises ValueError if it is too small to work with."""
    from featcli import budget

    found = budget.parse_size(value)
    if found <= budget.STARTED:
        raise ValueError(f"must be more than {budget.format_size(budget.STARTED)}, not {value}")
    return found


@callback
def shape(value: str) -> str:
    """Check the shape of a model's input, such as 224x224x3."""
    from featcli.models.loading import parse_shape
    from featcli.models.network import sizes

    return sizes(parse_shape(value))


@callback
def scheduler(value: str) -> str:
    """Check the address of a Dask scheduler."""
    from featcli.batch.addresses import check_address

    return check_address(value)
