"""The compiled kernel is used only where it is sound; an install without it works all the same."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import environment, without_kernel

from featcli.engine import library

ROOT = Path(__file__).resolve().parents[2]
needs_kernel = pytest.mark.skipif(library.load() is None, reason="there is no compiled kernel")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder in which the library is looked for; what was found before is forgotten."""
    monkeypatch.setattr(library, "FILE", tmp_path / "_kernel.bin")
    monkeypatch.setattr(library, "REASON", tmp_path / "_kernel.txt")
    library._found.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    library._found.cache_clear()


def compiled_here(place, check):
    """A library with today's fingerprint, whose self-check gives `check`."""
    compiler = next((one for one in ("cc", "gcc", "clang") if shutil.which(one)), "")
    if not compiler or sys.platform == "win32":
        pytest.skip("no C compiler")
    source = place / "fake.c"
    source.write_text(
        f"unsigned featcli_fingerprint = {library._fingerprint()}u;\n"
        f"int featcli_check(void) {{ return {check}; }}\n"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library.FILE, source], check=True)


def test_without_a_library_the_reason_is_said(place):
    assert library.load() is None
    assert "not built" in library.state()
    library._found.cache_clear()
    library.REASON.write_text("cc failed: no such thing\n")
    assert library.state() == "SciPy (no compiled kernel: cc failed: no such thing)"


def test_what_is_no_library_is_not_used(place):
    library.FILE.write_bytes(b"no library")
    assert library.load() is None
    assert "cannot be loaded" in library.state()


@needs_kernel
def test_a_library_older_than_its_source_is_not_used(place, monkeypatch):
    shutil.copy(library.FOLDER / "_kernel.bin", library.FILE)
    assert library.load() is not None
    library._found.cache_clear()
    monkeypatch.setattr(library, "_fingerprint", lambda: 1)
    assert library.load() is None
    assert "older than its source" in library.state()


def test_a_library_whose_self_check_fails_is_not_used(place):
    compiled_here(place, check=1)
    assert library.load() is None
    assert "its self-check failed" in library.state()


def test_without_the_library_the_command_gives_the_same_except_for_rounding(tmp_path):
    image = ROOT / "samples" / "cat.jpg"
    results = []
    for name, changes in (("with", {}), ("without", without_kernel())):
        out = tmp_path / name
        command = [sys.executable, "-m", "featcli", "convolve", image, "-k", "gaussian7", "-o", out]
        how = environment(**changes)
        subprocess.run(command, check=True, env=how, capture_output=True, timeout=120)
        results.append(np.load(out / "cat.gaussian7.npy"))
    np.testing.assert_allclose(results[0], results[1], atol=1e-5 * 255)
    command = [sys.executable, "-m", "featcli", "info", "--versions"]
    shown = subprocess.check_output(command, env=how, text=True, timeout=120)
    assert "SciPy (no compiled kernel: " in shown


@pytest.fixture
def hook():
    """The build hook's module."""
    pytest.importorskip("hatchling", reason="needs hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "engine"
    folder.mkdir()
    for path in library.FOLDER.iterdir():
        if path.suffix in (".c", ".h"):
            shutil.copy(path, folder)
    return folder


@pytest.mark.slow
def test_a_build_gives_a_library_with_the_fingerprint_of_its_sources(hook, sources, place):
    if not hook._compiler():
        pytest.skip("no C compiler")
    assert hook._build(sources, library.FILE, "") == ""
    assert library.load() is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("int featcli_check(void)\n{", "int featcli_check(void)\n{ return 1;"), "self-check"),
        (("#include <stdint.h>", "#include <no_such_header.h>"), "no_such_header"),
    ],
)
def test_a_build_that_fails_says_why(hook, sources, tmp_path, change, words):
    if not hook._compiler():
        pytest.skip("no C compiler")
    text = (sources / "kernel.c").read_text()
    assert change[0] in text
    (sources / "kernel.c").write_text(text.replace(*change))
    assert words in hook._build(sources, tmp_path / "k.bin", "")


def test_without_a_compiler_the_build_asks_for_one(hook, monkeypatch):
    builder = hook.KernelBuildHook.__new__(hook.KernelBuildHook)
    monkeypatch.setattr(hook.shutil, "which", lambda _: None)
    monkeypatch.delenv("FEATCLI_BUILD", raising=False)
    assert builder.dependencies() == ["ziglang"]
    monkeypatch.setenv("FEATCLI_BUILD", "pure")
    assert builder.dependencies() == []
    monkeypatch.setattr(hook.shutil, "which", lambda name: name)
    monkeypatch.setenv("FEATCLI_BUILD", "x86_64-linux-musl")
    assert builder.dependencies() == ["ziglang"]


@pytest.mark.parametrize("value", ["Pure", "none", "x86_64-linux"])
def test_a_build_refuses_what_is_neither_a_target_nor_a_wish(hook, monkeypatch, value):
    monkeypatch.setenv("FEATCLI_BUILD", value)
    builder = hook.KernelBuildHook.__new__(hook.KernelBuildHook)
    with pytest.raises(RuntimeError, match=f"must be one of pure, compiled, .*not '{value}'"):
        builder.dependencies()


def test_the_fingerprint_changes_with_every_source(sources, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", sources)
    seen = {library._fingerprint()}
    for path in sorted(sources.iterdir()):
        path.write_text(path.read_text() + "\n")
        seen.add(library._fingerprint())
    assert len(seen) == len(list(sources.iterdir())) + 1
    whole = b"".join(path.read_bytes() for path in sorted(sources.iterdir()))
    assert library._fingerprint() == zlib.crc32(whole)


@pytest.mark.slow
@needs_kernel
def test_ctrl_c_ends_a_long_convolution():
    code = (
        "import numpy as np\n"
        "from featcli.engine import correlation\n"
        "correlation._ways = lambda *_: {'dense': 0.0}\n"
        "x, kernel = np.ones((4000, 4000, 3), np.float32), np.random.rand(151, 151)\n"
        "print('begun', flush=True)\n"
        "correlation.correlate(x, [kernel])\n"
        "print('finished', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout.readline() == "begun\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)  # it takes a minute or more
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert out == ""
    assert "KeyboardInterrupt" in err
