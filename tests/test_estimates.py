"""What a pipeline is said to take is not less than what it takes, and not many times more."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from conftest import environment

from featcli.pipeline import Pipeline

# Prints by how much the peak of a run lies above what was held before it.
_RUN = """
import sys, numpy as np
from featcli.frame import Frame
from featcli.pipeline import Pipeline
def status(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name))
    return int(line.split()[1]) * 1024
pipeline, dtype, channels = Pipeline(sys.argv[1]), sys.argv[2], int(sys.argv[3])
pipeline.run(Frame(np.ones((600, 620, channels), dtype)))  # what is imported and kept
frame = Frame(np.ones((1000, 1500, channels), dtype))
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
results = pipeline.run(frame)
print(status("VmHWM") - before)
"""
_SLACK = 24_000_000  # bytes: strips, threads, and what the allocator keeps
PIPELINES = [
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
    "l2",
    "abs",
    "gray",
    "split-channels",
    "flatten",
    "normalize 1 2",
    "crop 500",
    "resize 300",
    "resize 1500x2000 --filter lanczos",
    "pool 2",
    "pool 3 --stride 1",
    "pool 2 --kind mean",
    "pool 3 --kind mean --stride 1",
    "pool --global --kind mean",
    "convolve vertical",
    "convolve vertical horizontal gaussian:sigma=2",
    "convolve gaussian:sigma=30",
    "convolve gabor:theta=30,sigma=12",
    "convolve box:9 --dilation 9",
    "convolve vertical --stride 2",
    "convolve vertical --engine scipy",
    "convolve vertical | relu | pool 2 | flatten",
    "convolve vertical horizontal | abs | pool 2 --kind mean | sigmoid",
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("text", PIPELINES)
def test_the_estimate_is_no_less_than_the_peak_and_not_far_above_it(text, dtype):
    command = [sys.executable, "-c", _RUN, text, dtype, "3"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environment(), check=True
    )
    peak, estimate = int(done.stdout), Pipeline(text).memory((1000, 1500, 3), np.dtype(dtype))
    assert peak <= estimate + _SLACK, (peak, estimate)
    assert estimate <= 3 * peak + 5 * _SLACK, (peak, estimate)


@pytest.mark.parametrize("shape", [(0, 3, 3), (5,), (5, 5), (1, 1, 1), (2**40, 2**40, 3)])
@pytest.mark.parametrize("text", [*PIPELINES, "resize 99999999 | relu"])
def test_an_estimate_is_made_of_any_shape(text, shape):
    assert Pipeline(text).memory(shape, np.dtype(np.uint8)) >= 0
