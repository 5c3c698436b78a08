"""The store of results where several processes use it."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from featcli.errors import InUse
from featcli.io import locks, store
from featcli.io.private import PrivateFolder


@pytest.fixture(params=[True, False], ids=["local", "network drive"])
def one(request, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "is_local", lambda _: request.param)
    found = store.Store(PrivateFolder(tmp_path), "one")
    found.recipe("digest", "0.1", "relu")
    found.close()
    yield found
    found.close()


def other(path):
    """Connect as another process would, and keep everybody else away."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


@pytest.mark.parametrize("ask", [store.Store.count, lambda one: one.note("a", "b")])
def test_who_asks_while_another_process_writes_waits_for_it(one, ask):
    one.recipe("another", "0.1", "abs")  # it is open for writing, as in a run
    writer = other(one.path)
    end = threading.Timer(0.4, writer.execute, ["COMMIT"])
    end.start()
    ask(one)
    end.join()
    writer.close()


def test_a_wait_for_another_process_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "is_local", lambda _: False)
    monkeypatch.setattr(locks, "PATIENCE", 0.01)
    monkeypatch.setattr(locks, "LIMIT", 0.05)
    one = store.Store(PrivateFolder(tmp_path), "one")
    one.recipe("digest", "0.1", "relu")
    writer = other(one.path)
    begun = time.monotonic()
    with pytest.raises(InUse, match="is held by another featcli"):
        one.count()
    assert time.monotonic() > begun
    writer.close()
    assert one.count() == 0
    one.close()
