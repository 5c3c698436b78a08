"""Environment variables, none of which changes a result. FEATCLI_JOBS is read by --jobs."""

from __future__ import annotations

import os

from featcli.errors import UsageError

VARIABLES = {
    "FEATCLI_JOBS": "Default of --jobs: how many images are processed in parallel.",
    "FEATCLI_COLOR": "Colours on the terminal: auto, always or never.",
    "FEATCLI_PROGRESS": "Progress bars: auto or never.",
    "FEATCLI_BUILD": "Read while featcli is being installed. pure: no compiled kernel; compiled: "
    "fail if it cannot be compiled.",
    "NO_COLOR": "If set, no colours.",
}
CHOICES = {"FEATCLI_COLOR": ("auto", "always", "never"), "FEATCLI_PROGRESS": ("auto", "never")}
MOST_JOBS = 1024
# What variables of earlier versions did, and how to do it now.
REMOVED = {"FEATCLI_ENGINE": "it changed results; 'featcli convolve --engine scipy' does so"}


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
    jobs = os.environ.get("FEATCLI_JOBS")
    if jobs and not _is_number_of_jobs(jobs):
        raise UsageError(f"FEATCLI_JOBS must be a whole number from 1 to {MOST_JOBS}, not {jobs!r}")
    for name, why in REMOVED.items():
        if os.environ.get(name):
            raise UsageError(f"unset {name}, which is no longer read: {why}")


def _is_number_of_jobs(text: str) -> bool:
    try:
        return 1 <= int(text) <= MOST_JOBS
    except ValueError:
        return False
