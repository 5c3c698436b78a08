"""How much memory a command may take: sizes as people write them, and the limits of containers."""

from __future__ import annotations

import pytest

from featcli import budget


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("2g", 2 * 10**9), ("1.5 GiB", 3 << 29), ("7", 7)]
)
def test_a_size_is_read_as_people_write_it(text, size):
    assert budget.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1GB", "much", "1XB", "1e9", "0.1"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=r"not a size|at least 1B"):
        budget.parse_size(text)


@pytest.mark.parametrize(
    ("line", "place"),
    [("0::/pod/one", "memory.max"), ("4:cpu,memory:/pod/one", "memory/memory.limit_in_bytes")],
)
def test_the_limits_of_a_container_and_of_those_around_it_count(tmp_path, line, place):
    groups, root = tmp_path / "cgroup", tmp_path / "sys"
    groups.write_text(f"11:pids:/pod\n{line}\nnot a line\n")
    folder, name = (root / place).parent, (root / place).name
    (folder / "pod" / "one").mkdir(parents=True)
    (folder / name).write_text("max\n")
    (folder / "pod" / name).write_text("800000000\n")
    (folder / "pod" / "one" / name).write_text("900000000\n")
    assert sorted(budget._container_limits(groups, root)) == [800_000_000, 900_000_000]


def test_a_small_container_halves_what_a_command_may_take(monkeypatch):
    monkeypatch.setattr(budget, "_container_limits", lambda: iter([600_000_000, 10**12]))
    assert budget.default() == 300_000_000
    monkeypatch.setattr(budget, "_container_limits", lambda: iter([]))
    assert budget.default() == budget.DEFAULT


def test_where_nothing_is_known_of_containers_there_is_no_limit(tmp_path):
    assert list(budget._container_limits(tmp_path / "none", tmp_path)) == []
