"""Environment variables, none of which changes a result. FEATCLI_JOBS is read by --jobs."""

from __future__ import annotations

import os

from featcli.errors import UsageError

VARIABLES = {
    "FEATCLI_JOBS": "Default of --jobs: how many images are processed in parallel.",
    "FEATCLI_COLOR": "Colours on the terminal: auto, always or never.",
    "FEATCLI_PROGRESS": "Progress bars: auto or never.",
    "FEATCLI_ENGINE": "scipy: compute convolutions without the compiled kernel.",
    "FEATCLI_BUILD": "Read while featcli is being installed; pure: no compiled kernel.",
    "NO_COLOR": "If set, no colours.",
}
CHOICES = {"FEATCLI_COLOR": ("auto", "always", "never"), "FEATCLI_PROGRESS": ("auto", "never")}


def chosen(name: str) -> str:
    """Return the value of a variable, `auto` if it is not set; raises UsageError if invalid."""
    value = os.environ.get(name) or "auto"
    if value not in CHOICES[name]:
        raise UsageError(f"{name} must be one of {', '.join(CHOICES[name])}, not {value!r}")
    return value


def check() -> None:
    """Raise UsageError for an invalid value, even if the command does not use the variable."""
    for name in CHOICES:
        chosen(name)
