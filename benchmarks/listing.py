"""The memory that a listing of many objects takes.

    python benchmarks/listing.py [--objects 1000 1000000]

A server on loopback makes up the pages of a list, as Google and S3 write them; obstore and featcli
ask for them as usual. One object is read, which is not there: what is measured is the listing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests" / "remote"))

_MEASURE = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], capture_output=True);"
    " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def main() -> None:
    from google_server import Google

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="*", default=[1000, 1_000_000])
    server = Google()
    words = ["-m", "featcli", "gray", "gs://bucket/many/", "-o", "out", "--limit", "1"]
    print("| objects | seconds | peak |")
    print("|---|---|---|")
    for server.made_up in parser.parse_args().objects:
        with tempfile.TemporaryDirectory() as name:
            env = os.environ | server.environment(Path(name))
            command = [sys.executable, "-c", _MEASURE, sys.executable, *words]
            begin = time.perf_counter()
            done = subprocess.run(command, cwd=name, env=env, capture_output=True, check=True)
        peak = int(done.stdout) / 1024
        print(
            f"| {server.made_up} | {time.perf_counter() - begin:.1f} | {peak:.0f} MB |", flush=True
        )
    server.close()


if __name__ == "__main__":
    main()
