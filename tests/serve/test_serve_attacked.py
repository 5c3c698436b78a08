"""`featcli serve` under attack: other hosts, other pages, huge, slow and wrong requests, files."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import png, served

from featcli.serve.access import Access
from featcli.serve.page import stages

PATHS = ["/", "/api/run", "/api/picture", "/api/model", "/map/x/0", "/explain/x", "/nothing"]


@pytest.fixture(scope="module")
def client():
    with served() as found:
        yield found


def is_alive(client) -> bool:
    return client.ask("GET", "/")[0] == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_answered_without_the_token(client, method, path):
    for token in ("", "wrong", client.token[:-1], client.token + "x", "\xff"):
        status, headers, body = client.ask(
            method, path, b"{}", token=False, X_Featcli_Token=token.encode("latin-1")
        )
        assert status == 403 and b"token" in body
        assert client.token.encode() not in body
        assert headers["X-Frame-Options"] == "DENY"
    assert client.ask(method, f"{path}?token=wrong", b"{}", token=False)[0] == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "[::1",
     "127.0.0.1.evil.example:{port}", "localhost.evil.example:{port}", "a@127.0.0.1:{port}",
     "127.0.0.1:{port}/x", "10.0.0.1:{port}"],
)  # fmt: skip
def test_a_host_of_another_name_is_refused(client, host):
    given = host.format(port=client.port)
    status, _, body = client.ask("GET", f"/?token={client.token}", Host=given)
    assert status == 403 and b"Host" in body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}"])
def test_this_machine_by_its_names_is_answered(client, host):
    assert client.ask("GET", "/", Host=host.format(port=client.port))[0] == 200


def test_other_addresses_are_numbers_or_the_name_that_was_given():
    access = Access("0.0.0.0", 80)
    assert access.refusal({"Host": "192.168.1.7"}, access.token) == ""
    assert access.refusal({"Host": "evil.example"}, access.token)
    named = Access("lab.local", 8000)
    assert named.refusal({"Host": "lab.local:8000"}, named.token) == ""
    assert Access("::1", 5).address.startswith("http://[::1]:5/?token=")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_page_may_not_ask(client, headers):
    status, _, body = client.ask("POST", "/api/run", b"{}", **headers)
    assert status == 403 and b"another" in body


def test_a_link_to_the_page_may_be_followed_from_anywhere(client):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert client.ask("GET", f"/?token={client.token}", token=False, **link)[0] == 200
    assert client.ask("GET", "/?token=wrong", token=False, **link)[0] == 403
    for path, mode in (("/", "cors"), ("/explain/x", "navigate"), ("/map/x/0", "no-cors")):
        headers = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": mode}
        assert client.ask("GET", path, **headers)[0] == 403


def test_what_is_on_its_way_at_once_is_bounded(client):
    head = (
        f"POST /api/model HTTP/1.0\r\nHost: 127.0.0.1:{client.port}\r\n"
        f"X-Featcli-Token: {client.token}\r\nContent-Length: {200 << 20}\r\n\r\n"
    )
    links = [socket.create_connection(("127.0.0.1", client.port), 30) for _ in range(3)]
    answers = []
    for link in links:
        link.sendall(head.encode())
        link.settimeout(1)
        with suppress(TimeoutError):
            answers.append(link.recv(4000))
    assert len(answers) == 1 and b" 503 " in answers[0]
    for link in links:
        link.close()
    assert is_alive(client)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client):
    for path in ("/api/run", "/api/picture", "/api/kernel-file", "/api/model"):
        for length in (10**12, 10**30, client.server.answers.limit(path) + 1):
            with socket.create_connection(("127.0.0.1", client.port), 30) as link:
                link.sendall(
                    f"POST {path} HTTP/1.0\r\nHost: 127.0.0.1:{client.port}\r\n"
                    f"X-Featcli-Token: {client.token}\r\nContent-Length: {length}\r\n\r\n".encode()
                )
                assert b" 413 " in link.recv(4000)


@pytest.mark.parametrize("length", ["", "-1", "1e3", "x", "٣", "1, 2"])
def test_a_body_without_a_right_length_is_refused(client, length):
    with socket.create_connection(("127.0.0.1", client.port), 30) as link:
        link.sendall(
            f"POST /api/run HTTP/1.0\r\nHost: 127.0.0.1:{client.port}\r\n"
            f"X-Featcli-Token: {client.token}\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
        )
        assert b" 411 " in link.recv(4000)
    chunked = client.ask("POST", "/api/run", b"2\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")
    assert chunked[0] == 411


BAD = [b"", b"[]", b"{", b"[" * 100000, b'{"picture": 1}', b"\xff", b'{"picture": "x"}', b"null",
       b'{"picture": "x", "steps": {}}', b'{"text": 5}',
       b'{"picture": "a", "model": "../x", "steps": []}']  # fmt: skip


@pytest.mark.parametrize("path", ["run", "explain", "classify", "kernel", "parse"])
@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_a_wrong_request_is_a_line(client, path, body):
    status, _, said = client.ask("POST", f"/api/{path}", body)
    assert status in (400, 410)
    assert "\n" not in json.loads(said)["error"]


def test_a_view_is_one_of_those_that_there_are(client):
    key = client.send("/api/picture", png(np.zeros((3, 3), np.uint8)), "a.png")[1]["picture"]
    for view in ("none", 5, None, ["abs"], "x" * 5000):
        assert client.json("/api/run", picture=key, steps=[["relu"]], view=view)[0] == 400
    assert client.ask("GET", f"/map/{key}/0?view=none")[0] == 400


def test_what_is_shown_already_is_a_list_of_texts(client):
    key = client.send("/api/picture", png(np.zeros((3, 3), np.uint8)), "a.png")[1]["picture"]
    for shown in (5, "x", {}, [5], [["x"]], [None], [{}]):
        status, said = client.json("/api/run", picture=key, steps=[["relu"]], shown=shown)
        assert (status, said["error"]) == (400, "shown must be a list of texts")


def test_wrong_steps_are_refused(client):
    key = client.send("/api/picture", png(np.zeros((3, 3), np.uint8)), "a.png")[1]["picture"]
    for steps in (
        None,
        5,
        "relu",
        [5],
        [[5]],
        [["relu"]] * 51,
        [["convolve", "-k", "1 " * 200000]],
    ):
        status, found = client.json("/api/run", picture=key, steps=steps)
        assert status == 400 or found["error"]


# --- Files of this machine

_WATCHED: list[str] = []


def _watch(event: str, arguments: tuple) -> None:
    if event == "open" and isinstance(arguments[0], str) and "secret" in arguments[0]:
        _WATCHED.append(arguments[0])


sys.addaudithook(_watch)


@pytest.fixture
def secret(tmp_path, monkeypatch) -> Path:
    """A kernel's file, weights and a model that no request may name."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "k.csv").write_text("1,2\n3,4\n")
    np.save(folder / "w.npy", np.eye(9))
    plain_stat = os.stat

    def stat(path, *arguments, **named):
        if isinstance(path, (str, Path)) and "secret" in str(path):
            _WATCHED.append(str(path))
        return plain_stat(path, *arguments, **named)

    monkeypatch.chdir(folder)
    _WATCHED.clear()
    monkeypatch.setattr(os, "stat", stat)
    yield folder
    _WATCHED.clear()


def test_no_parameter_of_any_stage_names_a_file(client, secret):
    key = client.send("/api/picture", png(np.zeros((3, 3), np.uint8)), "a.png")[1]["picture"]
    files = [
        str(secret / "k.csv"),
        str(secret / "w.npy"),
        f"x={secret}/k.csv",
        f"{secret}/none.npz",
    ]
    for stage in stages():
        for param in stage["params"]:
            for file in files:
                steps = [["flatten"]] if stage["takes"] == "vector" else []
                steps.append([stage["name"], param["option"], file])
                status, found = client.json("/api/run", picture=key, steps=steps)
                assert status == 200 and found["error"]["step"] == len(steps) - 1, steps
                assert client.json("/api/explain", picture=key, steps=steps)[0] == 400
                text = " | ".join(
                    f"{one[0]} " + " ".join(f"'{w}'" for w in one[1:]) for one in steps
                )
                assert client.json("/api/parse", text=text)[0] == 400
    assert _WATCHED == []


@pytest.mark.parametrize("name", ["k.csv", "w.npy", "./k.csv", "../secret/k.csv"])
def test_no_file_of_the_folder_is_taken_for_a_kernel(client, secret, name):
    opened = client.json("/api/kernel", text=name)
    assert opened[0] == 400
    assert _WATCHED == []


@pytest.mark.parametrize(
    "model", ["{secret}/w.npy", "shipped:../../x", "shipped:{secret}/w", "given:w.npy",
              "sent:w.npy", "imagenet", "shipped:imagenet#0", "", "shipped:", "shipped:IMAGENET"],
)  # fmt: skip
def test_a_model_is_one_of_those_that_are_offered(client, secret, model):
    key = client.send("/api/picture", png(np.zeros((3, 3), np.uint8)), "a.png")[1]["picture"]
    name = model.format(secret=secret)
    assert client.json("/api/classify", picture=key, model=name)[0] == 400
    if name:
        assert client.json("/api/explain", picture=key, model=name)[0] == 400
    assert _WATCHED == []


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "//etc/passwd", "/map/../../x/0", "/explain/../../secret",
             "/%2e%2e/x", "/static/serve.js", "/map/x/-1", "/map//0", f"/map/x/{'9' * 20}"],
)  # fmt: skip
def test_no_path_leads_to_a_file(client, path):
    assert client.ask("GET", path)[0] in (404, 410)


def test_names_of_what_is_sent_are_only_shown(client):
    name = "../../<b>x\x1b[31m\n.png"
    status, found = client.send("/api/picture", png(np.zeros((3, 3), np.uint8)), name)
    assert status == 200
    assert "/" not in found["name"] and "\x1b" not in found["name"] and "\n" not in found["name"]


# --- Slow, many, and no requests


def test_slow_clients_are_cut_off_and_others_are_answered_meanwhile():
    with served(seconds=1.5) as client:
        slow = []
        head = f"POST /api/run HTTP/1.0\r\nHost: 127.0.0.1:{client.port}\r\n"
        half = f"{head}X-Featcli-Token: {client.token}\r\nContent-Length: 9\r\n\r\n{{"
        for begin in (b"", b"GET / HT", head.encode(), half.encode()):
            link = socket.create_connection(("127.0.0.1", client.port), 30)
            link.sendall(begin)
            slow.append(link)
        assert is_alive(client)
        for link in slow:
            while link.recv(4000):  # until the server ends it: the socket's own limit is 30 s
                pass
            link.close()
        # Byte by byte, each within the limit of one read: the whole request has one deadline.
        with socket.create_connection(("127.0.0.1", client.port), 30) as link, suppress(OSError):
            for _ in range(100):
                link.sendall(b"G")
                time.sleep(0.1)
            pytest.fail("a request may take as long as it likes")


def test_too_many_connections_are_not_answered_and_the_others_are_later():
    with served(seconds=1.5) as client:
        idle = [socket.create_connection(("127.0.0.1", client.port), 30) for _ in range(60)]
        end = time.monotonic() + 60
        while True:
            with suppress(OSError, Exception):
                if is_alive(client):
                    break
            assert time.monotonic() < end
            time.sleep(0.1)
        for link in idle:
            link.close()


@given(st.binary(max_size=300))
@settings(max_examples=40)
def test_any_bytes_leave_the_server_alive(client, data):
    with socket.create_connection(("127.0.0.1", client.port), 30) as link, suppress(OSError):
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        while link.recv(4000):
            pass
    assert is_alive(client)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "CONNECT"])
def test_other_methods_are_refused(client, method):
    assert client.ask(method, "/")[0] >= 400
