"""Where a training writes: full disks, two at once, and outputs that are the data themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import assert_refused, environment, listing, run_process
from patterns import ARCH, QUICK, save_folder, save_idx, save_npz

import featcli as api
from featcli.io import locks

WIDE = "flatten | dense 200 | relu | dense 3 | softmax"  # a checkpoint of 350 kB, a model of 120


@pytest.fixture
def desk(workspace):
    save_npz(workspace / "bars.npz")
    return workspace


def train(*words):
    return ("train", "bars.npz", "-q", "--batch-size", "16", *map(str, words))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kept"), [("500k", 0), ("800k", 0), ("1100k", 1), ("1150k", 1)])
def test_a_full_disk_is_one_line_and_keeps_the_last_epoch(desk, featcli, disk, size, kept):
    small = disk(size)
    words = train("--arch", WIDE, "--epochs", 3)
    done = featcli(*words, "-o", small / "m.npz")
    assert_refused(done, 1, f"cannot write {small}/m.", "No space left on device")
    names = ["m.checkpoint.npz", "m.npz"] if kept else ["m.checkpoint.npz"]
    assert sorted(listing(small)) == names
    if kept:
        assert "1 of 3 epochs" in api.load_model(small / "m.npz").description.source
    subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
    done = featcli("train", "bars.npz", "-q", "-o", small / "m.npz", "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert featcli(*words, "-o", "m.npz").returncode == 0
    assert (small / "m.npz").read_bytes() == (desk / "m.npz").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--report", "--history"])
def test_a_full_disk_for_what_is_told_is_one_line(desk, featcli, disk, option):
    place = disk("8k") / "told"
    (place.parent / "filling").write_bytes(bytes(4096 if option == "--report" else 8192))
    done = featcli(*train("--arch", ARCH, "--epochs", 2), "-o", "m.npz", option, place)
    assert_refused(done, 1, f"cannot write {place}", "No space left on device")
    assert [name for name in listing(place.parent) if name != "filling"] == []
    # What is told of the training is missing, the model and the way on are not.
    assert (desk / "m.npz").exists()
    assert (desk / "m.checkpoint.npz").exists()
    assert "m.npz holds epoch" in done.stderr
    done = featcli("train", "bars.npz", "-q", "-o", "m.npz", "--resume", option, "told")
    assert (done.returncode, done.stderr) == (0, "")
    assert (desk / "told").exists()
    assert not (desk / "m.checkpoint.npz").exists()


@pytest.fixture
def running(desk):
    """A training that has begun, as a process of its own."""
    save_npz(desk / "many.npz", count=3000)
    words = ["train", "many.npz", "-o", "new/m.npz", *map(str, QUICK), "--epochs", "2000", "-q"]
    process = subprocess.Popen([sys.executable, "-m", "featcli", *words], env=environment())
    while not (desk / "new" / "m.npz").exists():
        assert process.poll() is None
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def suspend(process, folder):
    """Stop a process, as Ctrl-Z does, at a moment in which it does not hold the folder."""
    fcntl = pytest.importorskip("fcntl")
    while True:
        os.kill(process.pid, signal.SIGSTOP)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.01)
        else:
            return
        finally:
            os.close(descriptor)


def test_a_training_in_a_folder_that_is_held_says_so_and_ends(desk, inline, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    monkeypatch.setattr(locks, "LIMIT", 0.5)
    (desk / "new").mkdir()
    descriptor = os.open(desk / "new", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    done = inline("train", "bars.npz", "-o", "new/m.npz", *QUICK, "--epochs", 1, "-q")
    os.close(descriptor)
    assert done.returncode == 1
    assert f"waiting for new, which is held by process {os.getpid()}" in done.stderr
    assert "was not released within" in done.stderr
    assert not (desk / "new" / "m.npz").exists()


@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--resume"]])
def test_the_second_training_on_an_output_touches_nothing(desk, inline, running, more):
    suspend(running, desk / "new")
    before = listing(desk)
    done = inline("train", "many.npz", "-o", "new/m.npz", *more)
    assert_refused(done, 1, "is writing new/m.npz")
    assert listing(desk) == before
    done = inline("train", "bars.npz", "-o", "new/other.npz", *QUICK, "--epochs", 1)
    assert done.returncode == 0, done.stderr


def test_who_is_killed_is_no_longer_in_the_way(desk, inline, running):
    running.kill()
    running.wait()
    left = desk / "new" / ".featcli" / f"{running.pid}-0123abcd.part"
    left.parent.mkdir(exist_ok=True)
    left.write_text("what it was writing")
    words = ("bars.npz", "-o", "new/m.npz", *QUICK, "--epochs", 1)
    assert inline("train", *words, "--overwrite").returncode == 0
    assert list(listing(desk / "new")) == ["m.npz"]


def test_what_is_refused_leaves_no_folder(desk, inline):
    done = inline("train", "bars.npz", "-o", "a/b/m.npz", "--arch", "nonsense")
    assert_refused(done, 2, "--arch")
    assert not (desk / "a").exists()


def test_a_place_that_may_not_be_written_to_is_one_line(desk, inline, monkeypatch):
    def refuse(*_how):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("featcli.io.locks.os.open", refuse)
    done = inline("train", "bars.npz", "-o", "m.npz", *QUICK)
    assert_refused(done, 1, "cannot write m.npz: Permission denied")


def second_name(kind, desk):
    """Data, one of its files, and how it is named to `train`."""
    if kind == "npz":
        return "bars.npz", desk / "bars.npz"
    if kind == "folder":
        place = save_folder(desk / "photos")
        return place, sorted((place / "spot").iterdir())[3]
    images = save_idx(desk / "idx")
    labels = images.with_name("train-labels-idx1-ubyte")
    return (images if kind == "images" else images.parent), labels


@pytest.mark.parametrize("kind", ["npz", "folder", "images", "idx"])
@pytest.mark.parametrize("option", ["-o", "--history", "--report"])
def test_an_output_that_is_a_file_of_the_data_by_another_name_is_refused(
    desk, inline, kind, option
):
    data, file = second_name(kind, desk)
    kept = file.read_bytes()
    (desk / "report").mkdir()
    name = {"-o": "n.npz", "--history": "h.jsonl", "--report": "report/curves.png"}[option]
    words = [option, "report" if option == "--report" else name]
    words += ["-o", "m.npz"] if option != "-o" else []
    other = Path(name)
    other.hardlink_to(file)
    done = inline("train", data, *words, *QUICK, "--overwrite")
    assert_refused(done, 2, f"{name} is the same file as", "choose another name")
    assert file.read_bytes() == kept
    assert other.samefile(file)
    other.unlink()
    other.hardlink_to(desk / "gray.png")  # another file with two names is no matter
    assert inline("train", data, *words, *QUICK, "--epochs", 1, "--overwrite").returncode == 0


def test_labels_beside_the_images_that_are_named_are_not_written_over(desk, inline):
    images = save_idx(desk / "idx")
    labels = images.with_name("train-labels-idx1-ubyte")
    kept = labels.read_bytes()
    words = ("-o", "m.npz", "--history", labels, "--overwrite")
    assert_refused(inline("train", images, *words, *QUICK), 2, "is the same file as")
    assert labels.read_bytes() == kept


_SLOW = """
import pathlib, time
plain = pathlib.Path.open
def slow(self, *arguments, **named):
    if self.suffix == ".png":
        with plain(pathlib.Path("read"), "a") as log:
            log.write("x")
        time.sleep(0.3)
    return plain(self, *arguments, **named)
pathlib.Path.open = slow
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_reading_of_images(desk, number, code):
    place = save_folder(desk / "photos", count=300)
    (desk / "slow").mkdir()
    (desk / "slow" / "sitecustomize.py").write_text(_SLOW)
    path = os.pathsep.join([str(desk / "slow"), *filter(None, [os.getenv("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "featcli", "train", str(place), "-o", "new/m.npz", *map(str, QUICK)],
        stderr=subprocess.PIPE, env=environment(PYTHONPATH=path), text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (desk / "read").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "")
    assert len((desk / "read").read_text()) < 64  # those that were on their way, not all 300
    assert not (desk / "new").exists()


_LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from featcli.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("arch", "batch"),
    [
        ("flatten | dense 3000000 | relu | dense 3 | softmax", 64),
        ("conv 64 3 | batch_norm | relu | conv 64 3 | relu | flatten | dense 3 | softmax", 65536),
    ],
)
def test_what_is_too_large_for_the_memory_is_one_line(desk, arch, batch):
    save_npz(desk / "many.npz", count=3000, side=40)
    before = listing(desk)
    words = ["train", "many.npz", "-o", "m.npz", "-q", "--arch", arch, "--batch-size", str(batch)]
    done = run_process([sys.executable, "-c", _LIMITED, *words])
    assert_refused(done, 1, "there is not enough memory", f"lower --batch-size ({batch})")
    assert listing(desk) == before


def test_going_on_replaces_what_is_told_of_this_training_and_nothing_else(desk, inline):
    words = ("bars.npz", "-o", "m.npz", *QUICK, "--epochs", 3)
    leave_checkpoint(desk, *words, "--history", "h", "--report", "r")
    told = listing(desk / "r")
    whole = (desk / "h").read_text()
    (desk / "notes.txt").write_text("mine")
    (desk / "d").mkdir()
    (desk / "d" / "confusion.csv").write_text("mine")
    for option, place, file in [
        ("--history", "notes.txt", ""),
        ("--report", "d", "/confusion.csv"),
    ]:
        done = inline("train", "bars.npz", "-o", "m.npz", "--resume", option, place)
        assert_refused(done, 2, f"{place}{file} exists already")
    (desk / "h").write_text(whole.splitlines(keepends=True)[0])
    done = inline("train", "bars.npz", "-o", "m.npz", "--resume", "--history", "h", "--report", "r")
    assert done.returncode == 0, done.stderr
    assert (desk / "h").read_text().count("\n") == 3
    assert sorted(listing(desk / "r")) == sorted(told)


def leave_checkpoint(desk, *words):
    """Train to the end, as one that is killed just before it takes its checkpoint away."""
    script = "import sys\nfrom featcli.training import session\n"
    script += "session.Session.finish = lambda self: None\n"
    script += "from featcli.cli.main import main\nmain()\n"
    command = [sys.executable, "-c", script, "train", *map(str, words)]
    assert subprocess.run(command, env=environment(), check=False).returncode == 0
    assert (desk / "m.checkpoint.npz").exists()


def test_the_checkpoint_of_one_training_is_no_output_of_another(desk, inline, running):
    suspend(running, desk / "new")
    done = inline("train", "bars.npz", "-o", "new/m.checkpoint.npz", *QUICK)
    assert_refused(done, 1, "is writing new/m.checkpoint.npz")


def test_what_two_trainings_would_tell_in_one_file_is_refused(desk, inline):
    from featcli.io.locks import alone

    with alone(desk / "h"):
        done = inline("train", "bars.npz", "-o", "m.npz", *QUICK, "--history", "h")
    assert_refused(done, 1, "is writing h")
    assert not (desk / "m.npz").exists()
