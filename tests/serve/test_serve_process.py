"""`featcli serve` as a command: its address, how it ends, and what it refuses to start with."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time

import pytest
from conftest import assert_refused


def begin(started, *arguments: str) -> tuple[subprocess.Popen, str]:
    process = started("serve", *arguments)
    return process, process.stdout.readline().decode().strip()


def test_it_prints_its_address_and_ends_cleanly_by_an_interrupt(started, workspace, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    process = started("serve", "photo.jpg", "--port", "0", env={"TMPDIR": str(folder)})
    address = process.stdout.readline().decode().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", address)
    import urllib.request

    with urllib.request.urlopen(address, timeout=60) as reply:
        assert b"photo.jpg" in reply.read()
    assert len(list(folder.iterdir())) == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out == b""
    assert err.decode().splitlines() == [
        "featcli serve: open this address in a browser; Ctrl-C stops the server",
        "featcli serve: stopped",
    ]
    assert list(folder.iterdir()) == []


def test_the_browser_is_opened_without_the_token_in_its_arguments(started, workspace):
    browser = workspace / "browser"
    browser.write_text('#!/bin/sh\necho "$@" > asked\ncp "${1#file://}" page\ntouch done\n')
    browser.chmod(0o755)
    process = started("serve", "--port", "0", "--open", env={"BROWSER": f"{browser} %s"})
    address = process.stdout.readline().decode().strip()
    end = time.monotonic() + 60
    while not (workspace / "done").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    token = address.partition("token=")[2]
    assert token not in (workspace / "asked").read_text()
    assert f"url={address}" in (workspace / "page").read_text()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_signal_ends_it_without_leaving_anything(started, workspace, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    process = started("serve", "--port", "0", "-q", env={"TMPDIR": str(folder)})
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and err == b""
    assert list(folder.iterdir()) == []


def test_other_addresses_come_with_a_warning(started, workspace):
    process, address = begin(started, "--host", "0.0.0.0", "--port", "0")
    assert "token=" in address
    line = process.stderr.readline().decode()
    assert "--host 0.0.0.0" in line and "not encrypted" in line


def test_a_port_that_is_taken_is_one_line(inline, workspace):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_refused(inline("serve", "--port", port), 1, str(port), "--port 0")


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (("--port", "70000"), 2, ["70000"]),
        (("--host", "a b"), 2, ["--host"]),
        (("--host", ""), 2, ["--host"]),
        (("--host", "no.such.host.invalid", "--port", "0"), 1, ["cannot listen"]),
        (("nothing.png",), 2, ["nothing.png"]),
        (("--kernel", "vertcal"), 2, ["--kernel", "vertical"]),
        (("--model", "nothing.npz"), 2, ["--model", "nothing.npz"]),
        (("--model", "photo.jpg"), 1, ["photo.jpg"]),
    ],
)
def test_a_wrong_command_is_one_line(inline, workspace, given, code, words):
    assert_refused(inline("serve", *given), code, *words)
