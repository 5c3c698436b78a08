"""Man pages from what `featcli --json-usage` says: one for featcli, and one for each command."""

from __future__ import annotations

import re
from typing import Any


def man_pages(usage: dict[str, Any]) -> dict[str, str]:
    """Return the text of every page by the name of its file."""
    commands = usage["commands"]
    pages = {"featcli.1": _whole(usage)}
    for command in commands:
        pages[f"featcli-{command['name']}.1"] = _command(command, usage)
    return pages


def _whole(usage: dict[str, Any]) -> str:
    rows = [(f"featcli-{one['name']}(1)", one["summary"]) for one in usage["commands"]]
    parts = [
        _title("featcli", usage),
        _section("NAME", "featcli \\- extract features from images"),
        _section(
            "SYNOPSIS", "\\fBfeatcli\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIINPUT\\fR]..."
        ),
        _section("DESCRIPTION", _prose(usage["help"])),
        _section("COMMANDS", _rows(rows)),
        _section("OPTIONS", _options(usage["options"])),
        _exits(usage),
        _variables(usage),
    ]
    return "".join(parts)


def _command(command: dict[str, Any], usage: dict[str, Any]) -> str:
    name = f"featcli-{command['name']}"
    arguments = [(one["metavar"], one["help"]) for one in command["arguments"]]
    groups: dict[str, list[dict[str, Any]]] = {}
    for option in command["options"]:
        groups.setdefault(option["group"], []).append(option)
    parts = [
        _title(name, usage),
        _section("NAME", f"{name} \\- {_escaped(command['summary'].rstrip('.'))}"),
        _section("SYNOPSIS", _escaped(command["usage"])),
        _section("DESCRIPTION", _prose(command["help"])),
        _section("ARGUMENTS", _rows(arguments)) if arguments else "",
        *(_section(f"{title.upper()}", _options(found)) for title, found in groups.items()),
        _section("EXAMPLES", f".nf\n{_escaped(command['examples'])}\n.fi"),
        _exits(usage),
        _variables(usage),
        _section("SEE ALSO", "featcli(1)"),
    ]
    return "".join(parts)


def _title(name: str, usage: dict[str, Any]) -> str:
    return f'.TH "{name.upper()}" "1" "" "featcli {usage["version"]}" "featcli"\n'


def _section(title: str, body: str) -> str:
    return f'.SH "{title}"\n{body}\n'


def _exits(usage: dict[str, Any]) -> str:
    return _section("EXIT STATUS", _rows(usage["exit_codes"].items()))


def _variables(usage: dict[str, Any]) -> str:
    return _section("ENVIRONMENT", _rows(usage["variables"].items()))


def _rows(rows: Any) -> str:
    return "\n".join(f".TP\n\\fB{_escaped(name)}\\fR\n{_escaped(text)}" for name, text in rows)


def _options(options: list[dict[str, Any]]) -> str:
    return _rows((_spelled(one), _explained(one)) for one in options)


def _spelled(option: dict[str, Any]) -> str:
    names = ", ".join(option["names"])
    metavar = option["metavar"] or option["type"].upper()
    return names if option["type"] in ("flag", "count") else f"{names} {metavar}"


def _explained(option: dict[str, Any]) -> str:
    text, default = option["help"] or "", option["default"]
    if default not in (None, False, [], 0, "") and "[default:" not in text:
        text += f" [default: {default}]"
    if option["variable"]:
        text += f" [variable: {option['variable']}]"
    return text


def _prose(text: str) -> str:
    """Write paragraphs; one that begins with \\b keeps its lines."""
    shown = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        kept = paragraph.startswith("\b")
        lines = _escaped(paragraph.lstrip("\b").strip("\n"))
        shown.append(f".nf\n{lines}\n.fi" if kept else lines)
    return "\n.PP\n".join(shown)


def _escaped(text: str) -> str:
    """Escape what means something to troff: backslashes, and dots that begin a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)
