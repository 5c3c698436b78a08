"""What publishing needs, from pyproject.toml, the version and CHANGELOG.md.

python tools/publishing.py --tag v0.2.0   check that this version may be published under that tag
python tools/publishing.py --notes        print what CHANGELOG.md says of this version

`tools/generate.py` writes what derives from them: CITATION.cff, the recipe for conda-forge and the
formula for Homebrew. The address of the repository stands in pyproject.toml and nowhere else.
Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "OWNER"  # whom the address in pyproject.toml names until somebody publishes featcli
SECTION = re.compile(
    r"^## \[(?P<version>[\d.]+)\] - (?P<date>\d{4}-\d\d-\d\d)\n(?P<text>.*?)(?=^## |\Z)",
    re.M | re.S,
)


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def version() -> str:
    text = (ROOT / "featcli" / "_version.py").read_text("utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None
    return found[1]


def repository() -> str:
    return project()["urls"]["Repository"]


def released() -> re.Match[str]:
    """Return the section of CHANGELOG.md that tells of this version."""
    for found in SECTION.finditer((ROOT / "CHANGELOG.md").read_text("utf-8")):
        if found["version"] == version():
            return found
    sys.exit(f"CHANGELOG.md has no section '## [{version()}] - DATE'")


def problems(tag: str) -> list[str]:
    """Return what speaks against publishing this version under `tag`."""
    found = []
    if tag != f"v{version()}":
        found.append(f"the tag is {tag}, the version in featcli/_version.py {version()}")
    if f"/{UNKNOWN}/" in repository():
        found.append("pyproject.toml: [project.urls] Repository does not name an owner yet")
    if not released()["text"].strip():
        found.append(f"CHANGELOG.md says nothing of {version()}")
    return found


def citation() -> str:
    return f"""\
cff-version: 1.2.0
message: If featcli helps your work, please cite it as below.
type: software
title: featcli
abstract: {project()["description"]}
authors:
  - name: The featcli developers
version: {version()}
date-released: "{released()["date"]}"
# Of the code; NOTICE names those of the pictures, weights and data, which apply beside it.
license: {project()["license"].split(" AND ")[0]}
repository-code: {repository()}
keywords: [{", ".join(project()["keywords"])}]
"""


def recipe() -> str:
    """Return the recipe for conda-forge; Jinja fills in the two lines at its top."""
    lowest = re.sub(r"\D", "", project()["requires-python"])
    required = "\n".join(f"    - {spaced(one)}" for one in project()["dependencies"])
    return f"""\
{{% set version = "{version()}" %}}
{{% set sha256 = "SHA256-OF-THE-SDIST" %}}

package:
  name: featcli
  version: {{{{ version }}}}

source:
  url: {repository()}/releases/download/v{{{{ version }}}}/featcli-{{{{ version }}}}.tar.gz
  sha256: {{{{ sha256 }}}}

build:
  number: 0
  skip: true  # [py<{lowest}]
  script:
    - export FEATCLI_BUILD=compiled  # [not win]
    - set FEATCLI_BUILD=pure  # [win]
    - {{{{ PYTHON }}}} -m pip install . -vv --no-deps --no-build-isolation
  entry_points:
    - featcli = featcli.cli.main:main

requirements:
  build:
    - {{{{ compiler('c') }}}}  # [not win]
    - {{{{ stdlib('c') }}}}  # [not win]
  host:
    - python
    - pip
    - hatchling >=1.24
  run:
    - python
{required}

test:
  imports:
    - featcli
  commands:
    - featcli --version
    - featcli kernels
    - pip check
  requires:
    - pip

about:
  home: {repository()}
  summary: {project()["description"]}
  license: {project()["license"]}
  license_file:
    - LICENSE
    - NOTICE
    - LICENSES/

extra:
  recipe-maintainers:
    - {repository().split("/")[-2]}
"""


def spaced(requirement: str) -> str:
    """Return a requirement of pip as conda writes it: the name, a space, the bounds."""
    return re.sub(r"(?<=\w)(?=[<>=!])", " ", requirement, count=1)


def formula() -> str:
    """Return the formula for Homebrew, which has formulas of the larger packages.

    Its description has to be shorter than 80 characters.
    """
    return f"""\
# `brew update-python-resources featcli` writes the resources for click, rich and what rich needs.
class Featcli < Formula
  include Language::Python::Virtualenv

  desc "{project()["description"].replace(" at the command line,", "").rstrip(".")}"
  homepage "{repository()}"
  url "{repository()}/releases/download/v{version()}/featcli-{version()}.tar.gz"
  sha256 "SHA256-OF-THE-SDIST"
  license all_of: [{", ".join(f'"{one}"' for one in project()["license"].split(" AND "))}]

  depends_on "numpy"
  depends_on "pillow"
  depends_on "python@3.13"
  depends_on "scipy"

  def install
    virtualenv_install_with_resources
  end

  test do
    system bin/"featcli", "--version"
    assert_match "engine", shell_output("#{{bin}}/featcli info --versions")
    assert_match "vertical", shell_output("#{{bin}}/featcli kernels")
  end
end
"""


def files() -> dict[Path, str]:
    """Return every file that derives from the version and pyproject.toml."""
    return {
        ROOT / "CITATION.cff": citation(),
        ROOT / "recipe" / "meta.yaml": recipe(),
        ROOT / "recipe" / "featcli.rb": formula(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--tag", help="the tag under which this version is to be published")
    what.add_argument("--notes", action="store_true", help="print what CHANGELOG.md says of it")
    arguments = parser.parse_args()
    if arguments.notes:
        print(released()["text"].strip())
        return 0
    found = problems(arguments.tag)
    print("\n".join(found) or f"featcli {version()} may be published")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
