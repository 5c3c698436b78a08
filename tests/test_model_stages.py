"""The stages that run a model: commands, pipeline steps and Python functions like any other.

What is looked up by name is tested in fresh processes, in which nothing has loaded a model before.
"""

from __future__ import annotations

import json
import shlex
import sys

import pytest
from conftest import assert_refused, run_process

import featcli as api
from featcli._index import COMMANDS, STAGES
from featcli.frame import Step
from featcli.pipeline import caption
from featcli.stage import OF_MODELS

MAPS = ("--model", "digits", "--layer", "conv3")


def python(script: str) -> str:
    done = run_process([sys.executable, "-c", script])
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_the_index_lists_the_stages_of_models():
    assert OF_MODELS == ("classify", "feature-maps", "features")
    assert "feature-maps" not in COMMANDS


def test_the_help_lists_every_name_once(inline):
    text = inline("--help").stdout
    stages, commands = text.split("\nCommands:\n")
    for name in STAGES | COMMANDS:
        assert (f"\n  {name} " in stages) == (name in STAGES), name
        assert (f"\n  {name} " in f"\n{commands}") == (name not in STAGES), name


@pytest.mark.parametrize(
    "words",
    [
        ("feature-maps", *MAPS, "photo.jpg", "-o", "m.npy"),
        ("run", "feature-maps digits --layer conv3", "photo.jpg", "-o", "m.npy"),
        ("features", *MAPS, "--maps", "photo.jpg", "-o", "m.npy"),
    ],
)
def test_every_way_to_the_maps_of_a_layer_gives_the_same(words, workspace, featcli):
    assert featcli(*words).returncode == 0
    script = (
        "import featcli, numpy as np\n"
        "maps = featcli.feature_maps(featcli.read('photo.jpg').data, 'digits', layer='conv3')\n"
        "print(maps.tobytes() == np.load('m.npy').tobytes(), maps.shape)"
    )
    assert python(script) == "True (5, 5, 64)\n"


@pytest.mark.parametrize(
    "words",
    [
        ("features", *MAPS, "--maps"),
        ("features", *MAPS),
        ("features", *MAPS, "--maps", "--tile", "200", "--stride", "100"),
        ("feature-maps", *MAPS, "--preprocessing", "gray | resize 28x28 | normalize 0 255"),
        ("classify", "--model", "digits"),
    ],
)
def test_the_history_of_a_result_runs_as_it_is_shown(words, workspace, featcli):
    assert featcli(*words, "photo.jpg", "-o", "made/").returncode == 0
    first = min(workspace.glob("made/*.npy"))
    history = json.loads(featcli("info", first, "--json").stdout)["history"]
    done = featcli("run", history, "photo.jpg", "-o", "again.npy")
    assert done.returncode == 0, done.stderr
    assert first.read_bytes() == (workspace / "again.npy").read_bytes()


@pytest.mark.parametrize("name", OF_MODELS)
def test_the_stage_of_a_model_is_found_by_every_road(name, workspace, featcli):
    words = [name, *([] if name == "classify" else ["--layer", "conv3"]), "--model", "digits"]
    assert featcli("help", name).stdout == featcli(name, "--help").stdout
    script = f"import featcli; print(featcli.Pipeline({shlex.join(words)!r}))"
    assert python(script).startswith(f"{name} --model 'digits#")
    function = name.replace("-", "_")
    assert python(f"import featcli; print(featcli.{function}.__module__)").endswith(".stages\n")


def test_the_functions_of_models_import_none_before_they_are_used():
    script = (
        "import featcli, sys; "
        "print('feature_maps' in dir(featcli), any('models' in name for name in sys.modules))"
    )
    assert python(script) == "True False\n"


def test_what_cannot_be_is_refused_in_a_line(workspace, featcli):
    given = ("feature-maps", "one.png", "--model", "digits")
    assert_refused(featcli(*given), 2, "needs --layer LAYER")
    assert_refused(featcli(*given, "--layer", "conv9"), 2, "no layer 'conv9'")
    assert_refused(featcli(*given, "--layer", "scores"), 1, "scores gives a vector of 10 values")
    assert_refused(featcli("feature-maps", "one.png", "-m", "digit", "--layer", "x"), 2, "digits")
    assert_refused(featcli("run", "feature-map --layer x", "one.png"), 2, "feature-maps")
    assert_refused(featcli("run", "gray", "feature-maps"), 2, "did you mean")


def test_a_word_that_every_option_would_accept_is_not_suggested(workspace, inline):
    done = inline("feature-maps", "-m", "digits", "--layer", "conv3", "size=2")
    assert_refused(done, 2, "no file 'size=2'")
    assert "did you mean" not in done.stderr


@pytest.mark.parametrize("name", OF_MODELS)
def test_a_function_refuses_a_frame_and_says_what_to_give(name, workspace):
    function = getattr(api, name.replace("-", "_"))
    frame = api.read("one.png")
    layer = {} if name == "classify" else {"layer": "conv3"}
    with pytest.raises(TypeError, match="takes an array, not a frame"):
        function(frame, "digits", **layer)


def test_a_history_has_no_empty_options(workspace, featcli):
    assert featcli("features", *MAPS, "--maps", "one.png", "-o", "m.npy").returncode == 0
    shown = featcli("info", "m.npy").stdout
    assert "--preprocessing" not in shown
    assert "--input" not in shown


def test_steps_of_stages_that_there_are_not_are_shown_as_words_of_a_shell():
    step = Step.of(
        "told-apart", model="a b", of_="", input_shape=None, labels=(), flag=True, other=False, n=0
    )
    assert shlex.split(caption([step])) == ["told-apart", "--model", "a b", "--flag", "--n", "0"]
