"""Credentials of buckets, from the usual environment variables and files.

They are never stored, printed or recorded. obstore itself reads the variables of all three services
and the Google credentials file; the AWS files are read here.
"""

from __future__ import annotations

import configparser
import os
from pathlib import Path
from typing import Any

from featcli.errors import UsageError

_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_OWN = (  # if one of these is set, obstore finds the credentials itself
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
HINTS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials; "
    "AWS_SKIP_SIGNATURE=true for a public bucket",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS; GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


def allows_plain(scheme: str) -> bool:
    """Return whether the environment allows HTTP without TLS."""
    variable = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}[scheme] + "_ALLOW_HTTP"
    return os.environ.get(variable, "").lower() in ("true", "1", "yes", "on")


def settings_of_aws() -> dict[str, Any]:
    """Return the settings that obstore does not find; raises UsageError for an invalid profile."""
    profile = _profile()
    found: dict[str, Any] = {}
    if not any(map(os.environ.get, _OWN)):
        found = {name: profile[key] for key, name in _KEYS.items() if key in profile}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found["region"] = region or profile.get("region") or "us-east-1"
    named = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next(filter(None, map(os.environ.get, named)), profile.get("endpoint_url"))
    return found | ({"endpoint": endpoint} if endpoint else {})


def _profile() -> dict[str, str]:
    """Read the profile named by AWS_PROFILE from both AWS files; raises UsageError."""
    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    is_named = name is not None and name != "default"
    files = {
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"): f"profile {name}",
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"): str(name),
    }
    found: dict[str, str] = {}
    is_there = False
    for file, section in files.items():
        parser = _read(Path(file).expanduser())
        section = section if is_named else "default"
        if parser.has_section(section):
            is_there = True
            found |= parser[section]
    if name and not is_there:
        raise UsageError(f"AWS_PROFILE={name}: no such profile in ~/.aws/config or credentials")
    return found


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(default_section="-", strict=False)
    try:
        parser.read(path, "utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        # The message of the error quotes the invalid line, which may contain a secret.
        raise UsageError(f"{path} cannot be read as a file of AWS profiles") from None
    return parser
