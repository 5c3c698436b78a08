"""A pipeline as a command, and as Python code."""

from __future__ import annotations

import shlex

from featcli import stage as stages
from featcli.frame import Step
from featcli.pipeline import Pipeline


def command(pipeline: Pipeline, file: str, view: str = "auto") -> str:
    """Return the command `featcli run` for a pipeline, with the view if it is not the default."""
    drawn = [] if view == "auto" else ["--view", view]
    return shlex.join(["featcli", "run", str(pipeline), *drawn, *_file_arguments(file)])


def _file_arguments(file: str) -> list[str]:
    """Return a file's name as arguments, after -- if it would look like an option."""
    return ["--", file] if file.startswith("-") else [file]


def python(pipeline: Pipeline, file: str) -> str:
    """Return the pipeline as calls of featcli's functions."""
    lines = ["import featcli", "", f"photo = featcli.read({file!r})"]
    if pipeline.splits:
        lines += [f"frames = featcli.Pipeline({str(pipeline)!r}).run(photo)"]
        return "\n".join(lines) + "\n"
    name = "photo.data"
    for step in pipeline.steps:
        lines.append(f"x = {_call(step, name)}")
        name = "x"
    return "\n".join(lines) + "\n"


def _call(step: Step, first: str) -> str:
    """Return a stage as a call, with the parameters that differ from their defaults."""
    stage = stages.get(step.stage)
    given = dict(step.params)
    words = [first]
    for param in stage.params:
        value = given[param.name]
        if value == param.default:
            continue
        one = value[0] if isinstance(value, tuple) and len(value) == 1 else value
        shown = repr(one if param.converter.many else value)
        words.append(shown if param.word and param.required else f"{param.name}={shown}")
    return f"featcli.{stage.function.__name__}({', '.join(words)})"
