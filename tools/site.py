"""What mkdocs needs besides `docs/`: pages from other folders, and links that work on the site.

README.md is the tour, CHANGELOG.md and others are pages of the site as they are; the page of the
Python API is made of the names that the package exports. Nothing is written twice.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import publishing  # noqa: E402

# Pages of the site whose text stands outside `docs/`.
PAGES = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "releases.md": "RELEASE.md",
    "security.md": "SECURITY.md",
    "speed.md": "benchmarks/RESULTS.md",
}
PLACES = {source: page for page, source in PAGES.items()}
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)\s#]+)")
# The groups of the page of the Python API, by the start of the module that a name comes from.
GROUPS = {
    "Files and frames": ("featcli.io", "featcli.frame", "featcli.errors"),
    "Pipelines": ("featcli.pipeline",),
    "Stages": ("featcli.ops", "featcli.models.stages"),
    "Networks": ("featcli.models", "featcli.training"),
}
EXPORT = re.compile(r"^from ([\w.]+) import (\w+) as \w+$", re.M)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take the address of the repository from pyproject.toml."""
    if f"/{publishing.UNKNOWN}/" not in publishing.repository():
        config.repo_url = publishing.repository()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in `docs/`."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "python.md", content=python_page()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links lead to pages of the site where there are any, else into the repository."""
    source = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    folder = source.rpartition("/")[0]
    return LINK.sub(lambda found: target(normpath(f"{folder}/{found[1]}".lstrip("/"))), markdown)


def target(path: str) -> str:
    """Return the link to a file of the repository."""
    if path in PLACES:
        return PLACES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    kind = "tree" if (ROOT / path).is_dir() else "blob"
    return f"{publishing.repository()}/{kind}/main/{path}"


def python_page() -> str:
    """Return the page of the Python API: every name that the package exports, in groups."""
    stub = (ROOT / "featcli" / "__init__.pyi").read_text("utf-8")
    names = EXPORT.findall(stub)
    lines = [
        "# Python\n",
        "Everything here can be imported from `featcli` itself, such as `featcli.convolve`.\n",
    ]
    for title, modules in GROUPS.items():
        found = [one for one in names if one[0].startswith(modules)]
        names = [one for one in names if one not in found]
        lines += [f"## {title}\n", *(f"::: {module}.{name}\n" for module, name in found)]
    if names:
        raise ValueError(f"tools/site.py: no group of the Python page has {names}")
    return "\n".join(lines)
