"""`.featcli`, which the commands of a shell pipe create and remove at the same time."""

from __future__ import annotations

import os
import threading

import pytest

from featcli.errors import WriteError
from featcli.io.atomic import Transaction
from featcli.io.locks import ExclusiveLock
from featcli.io.private import PrivateFolder
from featcli.io.store import Store


@pytest.fixture
def removed_meanwhile(monkeypatch):
    """Another process that removes the folder right after it was made, the first three times."""
    make, left = PrivateFolder.make, [None] * 3

    def make_and_lose(private):
        make(private)
        if left:
            left.pop()
            private.path.rmdir()

    monkeypatch.setattr(PrivateFolder, "make", make_and_lose)
    return left


def test_a_file_is_written_if_the_folder_is_removed_meanwhile(tmp_path, removed_meanwhile):
    with Transaction() as files:
        files.open(tmp_path / "a.npy").write(b"a")
        files.commit()
    assert not removed_meanwhile
    assert (tmp_path / "a.npy").read_bytes() == b"a"


def test_a_lock_is_taken_if_the_folder_is_removed_meanwhile(tmp_path, removed_meanwhile):
    lock = ExclusiveLock(PrivateFolder(tmp_path), "one", tmp_path)
    lock.enter()
    assert not removed_meanwhile
    lock.leave()


def test_a_store_is_created_if_the_folder_is_removed_meanwhile(tmp_path, removed_meanwhile):
    store = Store(PrivateFolder(tmp_path), "one")
    store.note("a", "b")
    assert not removed_meanwhile
    assert store.about("a") == "b"
    store.close()


def test_many_writers_and_removers_do_not_fail(tmp_path):
    failed = []

    def write(number: int) -> None:
        try:
            for one in range(40):
                with Transaction() as files:
                    files.open(tmp_path / f"{number}-{one}").write(b"a")
                    files.commit()
        except WriteError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(os.listdir(tmp_path)) == 320  # noqa: PTH208


def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        PrivateFolder(tmp_path / "file").create(lambda: None)
