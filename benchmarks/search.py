"""Exact neighbours: time, memory and recall, beside what others take in the same run.

    pip install 'featcli[bench-search]'
    python benchmarks/search.py [--scale 1] [--rounds 5] > benchmarks/results/search.md

Vectors are drawn around random centres, as those of photos lie in clusters. Everybody searches
by the cosine. What is found is compared with products in float64, row by row, for 200 queries;
`--scale 0.1` takes a tenth of the rows, to see that it works. Peers take turns, with all
processors; an engine that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from processes import apart
from threadpoolctl import threadpool_limits

from featcli.search.metrics import Table
from featcli.search.neighbors import neighbors

COUNT = 10
CHECKED = 200  # queries that the slow reference answers, too
Search = Callable[[Any, Any], Any]  # (table, queries) -> rows, (queries, COUNT)


def save_vectors(path: Path, rows: int, width: int) -> None:
    """Write vectors around centres, a block at a time."""
    rng = np.random.default_rng(rows + width)
    centres = rng.normal(size=(200, width)).astype(np.float32)
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, (rows, width))
    for first in range(0, rows, 4096):
        count = min(4096, rows - first)
        noise = rng.normal(size=(count, width)).astype(np.float32)
        matrix[first : first + count] = centres[rng.integers(0, 200, count)] + noise
    matrix.flush()


def unit(vectors: Any) -> Any:
    """Return vectors of length 1, which peers that only know products want."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ours(table: Any, queries: Any) -> Any:
    with one_blas_thread():
        known = Table(table, "cosine")
        asked = known if queries is table else Table(queries, "cosine")
        return np.concatenate([found.rows for _, found in neighbors(asked, known, COUNT)])


def one_blas_thread() -> contextlib.AbstractContextManager[Any]:
    """Let each thread of featcli multiply by itself, as its command does; peers use all."""
    return threadpool_limits(1, "blas")


def sklearn_brute(table: Any, queries: Any) -> Any:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=COUNT, algorithm="brute", metric="cosine").fit(table)
    return found.kneighbors(queries, return_distance=False)


def usearch_exact(table: Any, queries: Any) -> Any:
    from usearch.index import MetricKind, search

    found = search(np.asarray(table), np.asarray(queries), COUNT, MetricKind.Cos, exact=True)
    return np.asarray(found.keys, np.int64).reshape(len(queries), -1)


def faiss_flat(table: Any, queries: Any) -> Any:
    import faiss

    index = faiss.IndexFlatIP(table.shape[1])
    index.add(unit(table))
    return index.search(unit(queries), COUNT)[1]


PEERS: dict[str, tuple[str, Search]] = {
    "scikit-learn, brute force": ("sklearn", sklearn_brute),
    "usearch, exact": ("usearch", usearch_exact),
    "faiss, flat": ("faiss", faiss_flat),
}
TO_REACH = {
    "scikit-learn, brute force": "0.8 x",
    "usearch, exact": "1.5 x",
    "faiss, flat": "1.5 x",
}


def has(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def reference(table: Any, queries: Any) -> Any:
    """Answer in float64, a query at a time: slow, and plain."""
    lengths = np.concatenate(
        [np.linalg.norm(part.astype(np.float64), axis=1) for part in blocks(table)]
    )
    found = []
    for query in queries.astype(np.float64):
        products = np.concatenate([part.astype(np.float64) @ query for part in blocks(table)])
        found.append(np.argsort(-products / lengths, kind="stable")[:COUNT])
    return np.array(found)


def blocks(table: Any) -> Iterator[Any]:
    for first in range(0, len(table), 8192):
        yield table[first : first + 8192]


def recall(found: Any, right: Any) -> float:
    """Return which share of the right rows was found."""
    pairs = zip(found, right, strict=True)
    return sum(len(set(a.tolist()) & set(b.tolist())) for a, b in pairs) / right.size


def chosen(rows: int) -> Any:
    """Return which queries are checked."""
    return np.linspace(0, rows - 1, min(CHECKED, rows)).astype(int)


def all_pairs(path: str) -> None:
    """Search every row of a table in a process of its own, and print its row of the report."""
    table = np.load(path, mmap_mode="r")
    before = time.process_time(), time.perf_counter()
    found = ours(table, table)
    used, clock = time.process_time() - before[0], time.perf_counter() - before[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    at = chosen(len(table))
    right = recall(found[at], reference(table, table[at]))
    size = f"{len(table)} x {table.shape[1]}"
    print(f"| {size} | {used:.1f} s | {clock:.1f} s | {peak:.0f} MB | {right:.4f} |", flush=True)


def in_turns(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each on the clock."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return times


def beside(table: Any, queries: Any, rounds: int) -> Iterator[str]:
    """Compare with the peers: one row of the report for each."""
    searches: dict[str, Search] = {"featcli": ours}
    searches |= {name: search for name, (module, search) in PEERS.items() if has(module)}
    right = reference(table, queries[chosen(len(queries))])
    recalls = {}
    for name, search in searches.items():  # also warms up
        recalls[name] = recall(np.asarray(search(table, queries))[chosen(len(queries))], right)
    runs = {name: lambda run=run: run(table, queries) for name, run in searches.items()}
    times = {name: median(found) for name, found in in_turns(runs, rounds).items()}
    for name, seconds in times.items():
        ratio = "" if name == "featcli" else f"{times['featcli'] / seconds:.2f} x"
        yield (
            f"| {name} | {1000 * seconds:.0f} ms | {recalls[name]:.4f} | {ratio} "
            f"| {TO_REACH.get(name, '')} |"
        )
    yield from (f"| {name} | not installed | | | |" for name in PEERS if name not in searches)


def one_query(table: Any, rounds: int) -> str:
    """Time one query where the table is open: its lengths are known."""
    known, query = Table(table, "cosine"), Table(table[7:8] + np.float32(0.01), "cosine")
    run = {"one": lambda: list(neighbors(query, known, COUNT))}
    with one_blas_thread():
        found = np.concatenate([part.rows for _, part in run["one"]()])
        seconds = median(in_turns(run, max(rounds, 5))["one"])
    right = recall(found, reference(table, query.vectors))
    return f"| {table.shape[0]} x {table.shape[1]} | {1000 * seconds:.1f} ms | {right:.4f} |"


def report_pairs(folder: Path, scale: float) -> None:
    print(
        "## Neighbours: all pairs\n\nThe ten nearest of every row, mapped from a file. To reach: "
        "180 s of processor time and 500 MB for the first, 3 s on the clock for the second.\n"
    )
    print("| rows | processor | clock | peak memory | recall |\n|---|---|---|---|---|", flush=True)
    for rows, width in ((127_000, 256), (10_000, 1280)):
        path = folder / f"{width}.npy"
        save_vectors(path, max(COUNT, int(rows * scale)), width)
        apart(all_pairs, str(path))


def report_peers(folder: Path, scale: float, rounds: int) -> None:
    table = np.load(folder / "1280.npy")
    # As noisy as the table, and no rows of it.
    others = table[: max(COUNT, len(table) // 5)] + table[-1:]
    print("\n## Neighbours: beside others\n\nBy the cosine, in a table of "
          f"{table.shape[0]} x {table.shape[1]} in memory.")  # fmt: skip
    for what, queries in (("all pairs", table), (f"{len(others)} other queries", others)):
        print(f"\n| {what} | median | recall | featcli takes | to reach |\n|---|---|---|---|---|")
        for line in beside(table, queries, rounds):
            print(line, flush=True)
    path = folder / "one.npy"
    save_vectors(path, max(COUNT, int(50_000 * scale)), 1280)
    print("\n## Neighbours: one query\n\nTo reach: 50 ms inside the process.\n")
    print("| rows | median | recall |\n|---|---|---|")
    print(one_query(np.load(path), rounds), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report_pairs(Path(folder), given.scale)
        report_peers(Path(folder), given.scale, given.rounds)


if __name__ == "__main__":
    main()
