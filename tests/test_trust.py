"""A short round of the harness that reads whole corpora by real processes."""

from __future__ import annotations

import pytest
from trust import bombs, generated, read_in_process


@pytest.mark.slow
def test_a_round_of_whole_cut_and_damaged_files_breaks_no_promise(tmp_path):
    for corpus, paths, compare in generated(tmp_path, seed=2, per_kind=1):
        for path in paths[::6]:
            assert not read_in_process(path, compare).broken(), (corpus, path.name)


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused(name, tmp_path):
    path = tmp_path / "bomb.bin"
    path.write_bytes(bombs()[name])
    found = read_in_process(path, compare=False)
    assert found.code == 1
    assert not found.broken()
