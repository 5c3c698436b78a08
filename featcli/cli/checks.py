"""Click callbacks that check the values of options."""

from __future__ import annotations

import click


def path(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty path, and an option taken for a path because the path was forgotten."""
    if value == "":
        raise click.BadParameter("is empty: name a folder or a file")
    if value and value.startswith("-") and value != "-":
        raise click.BadParameter(f"{value!r} looks like an option; if it is a name, give ./{value}")
    return value


def size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Check a size in bytes, such as 500MB; return the text unchanged."""
    if value is None:
        return None
    from featcli.budget import size_of

    try:
        size_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def memory(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Return a size in bytes as a number; raises BadParameter if it is too small to work with."""
    from featcli import budget

    try:
        found = budget.size_of(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if found is not None and found <= budget.STARTED:
        raise click.BadParameter(f"must be more than {budget.shown(budget.STARTED)}, not {value}")
    return found


def shape(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    """Check the shape of a model's input, such as 224x224x3; "" if none is given."""
    if value is None:
        return ""
    from featcli.models.loading import parse_shape
    from featcli.models.network import sizes

    try:
        return sizes(parse_shape(value))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def scheduler(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Check the address of a Dask scheduler."""
    if value is None:
        return None
    from featcli.batch.addresses import check_address

    try:
        return check_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


__all__ = ["memory", "path", "scheduler", "shape", "size"]
