"""Every code block of the documentation is run, or a mark above it says why not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).resolve().parent.parent

BLOCKS = {
    str(path.relative_to(ROOT)): pages.blocks(path.read_text("utf-8")) for path in pages.pages()
}
SLOW = [page for page, blocks in BLOCKS.items() if any("slow" in one.marks for one in blocks)]
# A page with slow blocks is run whole with the slow tests, and its others then: but for the README.
QUICK = [
    page
    for page, blocks in BLOCKS.items()
    if any(one.is_run(quick=True) for one in blocks) and (page not in SLOW or page == "README.md")
]


def check(*arguments):
    command = [sys.executable, ROOT / "tools" / "pages.py", "--check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.parametrize("page", QUICK)
def test_a_page_shows_what_its_commands_print(page):
    done = check("--quick", page)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run tools/pages.py {page}"


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_a_page_shows_what_its_slow_commands_print(page):
    done = check(page)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}run tools/pages.py {page}"


@pytest.mark.parametrize("page", BLOCKS)
def test_a_block_is_run_or_marked(page):
    text = (ROOT / page).read_text("utf-8")
    assert not [f"line {one.line}: {one.problem}" for one in BLOCKS[page] if one.problem]
    # What the tool does not see would be neither: indented fences, fences of tildes.
    assert len(BLOCKS[page]) * 2 == len(re.findall(r"^\s*(?:```|~~~)", text, re.M))
    for one in BLOCKS[page]:
        assert one.kind != "text" or not re.search(r"^(\$|featcli|python) ", one.code, re.M), one


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("```\nfeatcli --version\n```", "no kind needs a mark"),
        ("```toml\nx = 1\n```", "toml needs a mark"),
        ("<!-- a comment -->\n```toml\nx = 1\n```", "toml needs a mark"),
        ("```console\nfeatcli --version\n```", "begins with a command"),
        ("```python\nimport nothing_like_it\n```", "nothing_like_it"),
        ("```sh\nfalse\ntrue\n```", "ended with 1"),
        ("```console\n$ featcli relu no.npy\n```", "ended with 2"),
        ("<!-- run first: false -->\n```sh\ntrue\n```", "ended with 1"),
    ],
)
def test_a_block_that_does_not_run_is_refused(block, said):
    with pytest.raises(ValueError, match=said):
        pages.rewritten(f"# A page\n\n{block}\n", quick=False)


@pytest.mark.parametrize("mark", ["not run: it is half a file", "needs: nothing_like_it"])
def test_a_marked_block_is_left_as_it_is(mark):
    text = f"<!-- {mark} -->\n```python\nraise ValueError\n```\n"
    assert pages.rewritten(text, quick=False) == text


def test_slow_blocks_are_left_out_only_where_that_is_wanted():
    text = "<!-- slow: it sleeps -->\n\n```console\n$ echo one\ntwo\n```\n"
    assert pages.rewritten(text, quick=True) == text
    assert pages.rewritten(text, quick=False) == text.replace("two", "one")


def test_blocks_of_a_page_share_a_folder_and_show_what_is_printed():
    text = (
        "<!-- run first: echo one > a.txt -->\n```sh\ncp a.txt b.txt\n```\n"
        "```python\nfrom pathlib import Path\nassert Path('b.txt').exists()\n```\n"
        "```console\n$ cat b.txt\nold\n$ cat b.txt >&2\n```\n"
    )
    found = pages.rewritten(text, quick=False)
    assert found == text.replace("old\n", "one\n").replace(">&2\n", ">&2\none\n")
