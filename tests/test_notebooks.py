"""Frames show themselves in a notebook, and the lesson's notebook runs from top to bottom."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featcli
from featcli.view.notebook import about

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_a_frame_is_shown_as_the_picture_that_the_commands_write(samples, tmp_path):
    frame = featcli.Pipeline("convolve vertical")(featcli.read(samples / "one.png"))
    featcli.write(tmp_path / "one.png", frame)
    with (
        Image.open(io.BytesIO(frame._repr_png_())) as shown,
        Image.open(tmp_path / "one.png") as written,
    ):
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(written))


def test_a_frame_as_html_says_what_it_is_and_holds_its_picture(samples):
    frame = featcli.Pipeline("pool 2 | flatten")(featcli.read(samples / "cat.jpg"))
    text = frame._repr_html_()
    assert "101250 uint8" in text and "pool | flatten" in text and "cat.jpg" in text
    data = re.search(r"base64,([^\"]+)\"", text)[1]
    assert base64.b64decode(data) == frame._repr_png_()
    assert "http" not in text


def test_names_of_files_are_no_markup():
    source = featcli.Source("x", '<img src=x onerror="alert(1)">.png')
    text = featcli.Frame(np.zeros((3, 3)), source=source)._repr_html_()
    assert text.count("<img") == 1 and "&lt;img" in text


def test_several_results_stand_side_by_side(samples):
    parts = featcli.Pipeline("split-channels").run(featcli.read(samples / "cat.jpg"))
    assert isinstance(parts, list) and len(parts) == 3
    assert parts._repr_html_().count("<img") == 3


def test_what_cannot_be_drawn_is_left_to_the_text():
    frame = featcli.Frame(np.zeros((3, 3), complex))
    assert frame._repr_png_() is None and frame._repr_html_() is None
    assert repr(frame) == "<Frame 'array' 3x3x1 complex128>"


def test_not_a_number_is_left_out_of_the_range():
    data = np.array([[np.nan, 1.0, np.inf, 2.0]])
    assert "1 to 2" in about(featcli.Frame(data))
    assert about(featcli.Frame(np.full((2, 2), np.nan))) == "2x2x1 float64"


def test_the_notebook_is_that_of_the_lesson():
    cells = json.loads((DOCS / "lesson.ipynb").read_text("utf-8"))["cells"]
    lesson = (DOCS / "lesson.md").read_text("utf-8")
    text = "\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "markdown")
    steps = re.findall(r"^## \d\. .*$", lesson, re.M)
    assert len(steps) == 8 and re.findall(r"^## \d\. .*$", text, re.M) == steps
    for mark in ("**Question.**", "**Common mistake.**"):
        assert lesson.count(mark) == text.count(mark) == 8
    for question in re.findall(r"^\*\*Question\.\*\* .*$", lesson, re.M):
        assert question in text
    assert all(f"pictures/lesson-{number}.png" in lesson for number in range(1, 9))


@pytest.mark.slow
def test_the_notebook_of_the_lesson_runs():
    """By nbclient, as Jupyter runs it; every step shows a picture or says a result."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(DOCS / "lesson.ipynb", as_version=4)
    nbformat.validate(notebook)
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": DOCS}})
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [output.get("data", {}) for cell in code for output in cell.outputs]
    assert sum("text/html" in data for data in shown) == 8
    assert sum("image/png" in data for data in shown) == 7  # of several results only the page
