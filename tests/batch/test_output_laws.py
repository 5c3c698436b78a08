"""What holds for every kind of output: each is an example here, and each example inherits all laws.

A kind that is new in the registry fails the first test until it has an example.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tarfile
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pytest
from batch_tools import leftovers, rows_of, save_images
from stopping import Tries

from featcli.batch import targets
from featcli.io.outputs import Kind

IMAGES = 5
SUFFIXES = (".npy", ".npz", ".png", ".csv", ".jsonl", ".parquet", ".tar")
NAMELESS = {Kind.STREAM, Kind.NOTHING}  # nothing of theirs has a name that could be taken


class Example(NamedTuple):
    """An output of a kind, and how it is asked for."""

    kind: Kind
    output: str
    more: tuple[str, ...] = ()
    file: str = ""  # one that it writes

    @property
    def words(self):
        """The command, in a folder beside the images."""
        is_table = self.kind is Kind.TABLE
        stages = "resize 8x8 | flatten" if is_table else "resize 8x8 | abs"
        files = [f"../in/{number:04}.png" for number in range(IMAGES)]
        inputs = {Kind.FILE: files[:1], Kind.HERE: files}.get(self.kind, ["../in"])
        output = ["-o", self.output] if self.output else []
        return ["run", stages, *inputs, *output, *self.more, "-j", "1"]


ALL = [
    Example(Kind.HERE, "", file="0003.8x8.abs.npy"),
    Example(Kind.FOLDER, "out/", file="out/0003.8x8.abs.npy"),
    Example(Kind.FOLDER, "out", ("--no-sidecar",), "out/0003.8x8.abs.png"),
    Example(Kind.FILE, "one.npy", file="one.npy"),
    Example(Kind.FILE, "one.png", file="one.png"),
    *([Example(Kind.FILE, "one.zarr", file="one.zarr")] if find_spec("zarr") else []),
    Example(Kind.ARCHIVE, "all.tar", file="all.tar"),
    Example(Kind.ARCHIVE, "all.npz", file="all.npz"),
    Example(Kind.TABLE, "t.csv", file="t.csv"),
    Example(Kind.TABLE, "t.jsonl", file="t.jsonl"),
    Example(Kind.TABLE, "t.npy", file="t.npy"),
    Example(Kind.TABLE, "t.npz", file="t.npz"),
    Example(Kind.TABLE, "t.parquet", file="t.parquet"),
    Example(Kind.SHARDS, "x-%d.tar", ("--shard-size", "5KB"), "x-1.tar"),
]
every = pytest.mark.parametrize(
    "example", ALL, ids=lambda one: f"{one.kind.name.lower()}-{one.output}"
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder, the current one, beside the images."""
    save_images(tmp_path / "in", IMAGES)
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def seen(folder):
    """All that is below a folder: what each file is, when it was changed, and what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (about.st_ino, about.st_mtime_ns, content)
    return found


def results(folder):
    """What is in the results, whatever the time at which they were written."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if (path.suffix in SUFFIXES or ".zarr/" in str(path))
        and path.is_file()
        and not path.name.endswith("manifest.jsonl")
    }


def _content(path):
    if path.suffix == ".tar":
        with tarfile.open(path) as tar:
            return [(one.name, one.size) for one in tar]
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}
    return path.read_bytes()


def test_every_kind_of_output_has_an_example():
    assert {one.kind for one in ALL} | NAMELESS == set(targets._OPENERS)
    assert set(Kind) == {*targets._OPENERS, Kind.PARTS}  # each part is a table of its own


@every
def test_a_second_run_does_nothing(example, place, inline):
    assert inline(*example.words).returncode == 0
    before = seen(place)
    again = inline(*example.words)
    assert seen(place) == before
    assert again.returncode == 0
    assert "0 done, 5 skipped" in again.stderr or example.kind in (Kind.HERE, Kind.FILE)


@every
def test_overwriting_gives_the_same_results(example, place, inline):
    assert inline(*example.words).returncode == 0
    wanted = results(place)
    assert wanted
    assert inline(*example.words, "--overwrite").returncode == 0
    assert results(place) == wanted
    assert leftovers(place) == []


@every
def test_a_file_of_somebody_else_is_refused_and_kept_until_overwritten(example, place, inline):
    path = place / example.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"precious")
    before = path.lstat()
    done = inline(*example.words)
    assert done.returncode == 2
    assert f"{example.file} exists already" in done.stderr
    assert path.read_bytes() == b"precious"
    assert path.lstat().st_ino == before.st_ino
    assert leftovers(place) == []
    assert inline(*example.words, "--overwrite").returncode == 0
    assert path.is_dir() or path.read_bytes() != b"precious"


@every
def test_a_link_to_nowhere_is_somebody_elses(example, place, inline):
    path = place / example.file
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("gone")
    assert inline(*example.words).returncode == 2
    assert path.is_symlink()
    assert not (path.parent / "gone").exists()


@every
def test_other_files_stay_even_if_all_is_overwritten(example, place, inline):
    assert inline(*example.words).returncode == 0
    others = [place / "notes.txt", place / "x-99.tar", place / "t.csv.journal"]
    for path in others:
        path.write_bytes(b"mine")
    assert inline(*example.words, "--overwrite").returncode == 0
    assert [path.read_bytes() for path in others] == [b"mine"] * 3


@every
def test_a_dry_run_touches_nothing_and_says_what_a_run_does(example, place, inline):
    told = inline(*example.words, "--dry-run", "--json")
    assert told.returncode == 0
    assert list(place.rglob("*")) == []
    named = {name for line in told.stdout.splitlines() for name in json.loads(line)["outputs"]}
    assert inline(*example.words).returncode == 0
    if example.kind in (Kind.HERE, Kind.FOLDER, Kind.FILE):
        found = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
        found = {name.partition("/")[0] if ".zarr/" in name else name for name in found}
        own = {name for name in found if ".featcli" not in name and "manifest" not in name}
        assert named == own
    elif example.kind is not Kind.SHARDS:
        assert named == {example.output}
    before = seen(place)
    again = inline(*example.words, "--dry-run")
    assert seen(place) == before
    assert f"0 to do, {1 if example.kind is Kind.FILE else 5} there already" in again.stderr


# A run that is killed, or meets a full disk, at each of its steps

MOST = 600  # steps: more would be a run that never ends


@pytest.fixture
def tries(tmp_path):
    with Tries(tmp_path) as found:
        yield found


def completed(words, place, wanted, tries):
    """The same command again makes it whole, with nothing twice and nothing left over."""
    done = tries(place, *words)
    assert done.code == 0, done.stderr
    assert results(place) == wanted
    assert leftovers(place) == []
    assert all(line["status"] == "done" for line in manifest_lines(place))
    before = seen(place)
    assert tries(place, *(word for word in words if word != "--overwrite")).code == 0
    assert seen(place) == before


def manifest_lines(place):
    return [row for path in place.rglob("*manifest.jsonl") for row in rows_of(path)]


def save(images, seed=0):
    """Images with a time of change of their own, which is in the record of a result."""
    save_images(images, IMAGES, seed=seed)
    for path in images.iterdir():
        os.utime(path, (1_000_000_000 + seed,) * 2)


def begin(example, before, place, images, tries):
    """Return the words of a command in a folder in which an earlier run was, or none."""
    save(images)
    place.mkdir()
    if before == "nothing":
        return example.words
    assert tries(place, *example.words).code == 0
    if before == "all of it":
        return [*example.words, "--overwrite"]
    save(images, seed=1)
    return example.words


def check_steps(example, how, before, steps, tmp_path, tries):
    """Return the first step that there is not."""
    clean, images = tmp_path / "clean", tmp_path / "in"
    words = begin(example, before, clean, images, tries)
    assert tries(clean, *words).code == 0
    wanted = results(clean)
    for step in steps:
        place = tmp_path / f"step{step}"
        words = begin(example, before, place, images, tries)
        old = results(place)
        code, said = tries(place, *words, step=step, how=how)
        if code == 0:
            return step
        for name, content in results(place).items():
            assert content in (wanted.get(name), old.get(name)), (step, name)
        if how == "killed":
            assert code == -signal.SIGKILL, said
        else:
            assert code == 1, said
            assert "Traceback" not in said
            assert "No space left" in said
        completed(words, place, wanted, tries)
        shutil.rmtree(place)
    return 0


BEFORE = ["nothing", "of other images", "all of it"]


@pytest.mark.slow
@every
@pytest.mark.parametrize("how", ["killed", "full"])
def test_a_run_that_is_stopped_is_completed_by_the_next(example, how, tmp_path, tries):
    chance = random.Random(f"{example.output} {how}")
    steps = sorted(chance.sample(range(1, 30), 3))
    check_steps(example, how, chance.choice(BEFORE), steps, tmp_path, tries)


@pytest.mark.release
@pytest.mark.timeout(1800)
@every
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("how", ["killed", "full"])
def test_a_run_that_is_stopped_at_any_step_is_completed_by_the_next(
    example, how, before, tmp_path, tries
):
    assert check_steps(example, how, before, range(1, MOST), tmp_path, tries) > 3


@pytest.mark.slow
@every
def test_no_file_may_be_larger_than_so_many_bytes(example, tmp_path, tries):
    """Every write may fail, also those of the memory."""
    clean, images = tmp_path / "clean", tmp_path / "in"
    words = begin(example, "nothing", clean, images, tries)
    assert tries(clean, *words).code == 0
    wanted, size = results(clean), 400  # what is said takes some bytes itself
    while True:
        place = tmp_path / f"size{size}"
        place.mkdir()
        code, said = tries(place, *words, step=size, how="limited")
        if code == 0:
            break
        assert (code, "Traceback" in said) == (1, False), said
        assert "cannot write" in said
        assert all(wanted[name] == content for name, content in results(place).items())
        completed(words, place, wanted, tries)
        size = size * 3 + 500
    assert results(place) == wanted


def check_taken(example, step, place, tries):
    """Somebody makes a file of a result's name while a run goes on; return whether he could."""
    place.mkdir()
    path = place / example.file
    path.parent.mkdir(exist_ok=True)
    done = tries(place, *example.words, step=step, how="taken", name=path)
    is_there = path.is_file() and path.read_bytes() == b"precious"
    if done.code == 0:
        assert not is_there
        return False
    assert is_there, step
    assert "Traceback" not in done.stderr
    assert example.file in done.stderr, done.stderr
    assert leftovers(place) == []
    again = tries(place, *example.words)
    assert again.code == 2, again.stderr
    assert path.read_bytes() == b"precious"
    path.unlink()
    assert tries(place, *example.words).code == 0
    return True


def check_all_taken(example, steps, tmp_path, tries):
    save_images(tmp_path / "in", IMAGES)
    return [check_taken(example, step, tmp_path / f"{step}", tries) for step in steps]


@pytest.mark.slow
@every
def test_a_file_that_appears_while_a_run_goes_on_is_kept(example, tmp_path, tries):
    steps = random.Random(example.output).sample(range(1, 25), 4)
    check_all_taken(example, steps, tmp_path, tries)


@pytest.mark.release
@pytest.mark.timeout(1800)
@every
def test_a_file_that_appears_at_any_step_is_kept(example, tmp_path, tries):
    assert any(check_all_taken(example, range(1, 100), tmp_path, tries))


@pytest.mark.slow
@every
@pytest.mark.parametrize("folder", ["-two\nlines \udcff a'b\"c", "é" * 120])
def test_odd_names_of_folders_work(example, folder, tmp_path, tries):
    save_images(tmp_path / "in", IMAGES)
    place = tmp_path / folder
    place.mkdir()
    words = [word.replace("../in", str(tmp_path / "in")) for word in example.words]
    for number, word in enumerate(words):
        if word == "-o":
            words[number + 1] = f"./{folder}/{words[number + 1]}"
    where = place if example.kind is Kind.HERE else tmp_path
    done = tries(where, *words)
    assert done.code == 0, done.stderr
    wanted = results(place)
    assert wanted
    before = seen(place)
    assert tries(where, *words).code == 0
    assert seen(place) == before


@pytest.mark.parametrize(
    "example", [one for one in ALL if one.output], ids=lambda one: f"{one.kind.name}-{one.output}"
)
@pytest.mark.parametrize("folder", ["file.txt", "a" * 300, "file.txt/below", "loop"])
def test_a_name_that_can_be_none_is_refused_in_one_line(example, folder, place, inline):
    (place / "file.txt").write_text("mine")
    (place / "loop").symlink_to("loop")
    words = list(example.words)
    words[words.index("-o") + 1] = f"{folder}/{example.output}"
    done = inline(*words)
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) <= 1, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in place.iterdir()) == ["file.txt", "loop"]
    assert (place / "file.txt").read_text() == "mine"


@pytest.mark.parametrize("output", ["x-%d.npz", "x-%03d.npz"])
def test_only_shards_have_numbers_in_their_names(output, place, inline):
    done = inline("abs", "../in", "-o", output)
    assert (done.returncode, "only .tar files are numbered" in done.stderr) == (2, True)
