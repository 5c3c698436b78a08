"""What publishing needs, from pyproject.toml, the version and CHANGELOG.md.

python tools/publishing.py --cut 0.3.0    give this number to what CHANGELOG.md has unreleased
python tools/publishing.py --tag v0.3.0   check that this version may be published under that tag
python tools/publishing.py --notes        print what CHANGELOG.md says of this version
python tools/publishing.py --recipes FOLDER dist/featcli-0.3.0.tar.gz
                                          write the recipe and the formula with the checksum of
                                          that archive, and of the packages that Homebrew builds

`tools/generate.py` writes what derives from them: CITATION.cff, the recipe for conda-forge, the
formula for Homebrew, and the link for questions in the README. The address of the repository is in
pyproject.toml and nowhere else.
Only the standard library is needed, and for `--recipes` the package packaging and PyPI.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import re
import sys
import tomllib
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNKNOWN = "OWNER"  # whom the address in pyproject.toml names until somebody publishes featcli
UNKNOWN_SUM = "SHA256-OF-THE-SDIST"
BREWED = ("numpy", "pillow", "scipy")  # Homebrew has formulas of them
BREWED_PYTHON = "3.14"
UNRELEASED = "## [Unreleased]\n"
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


def issues() -> str:
    """Return what the README says of the place for questions: a link, once there is an address."""
    text = "the issues of the repository"
    return text if f"/{UNKNOWN}/" in repository() else f"[{text}]({repository()}/issues)"


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


def cut(number: str) -> None:
    """Set the version, and give number and date to the section of what is not released."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", number):
        sys.exit(f"a version is three numbers with points between them, not {number!r}")
    if tuple(map(int, number.split("."))) <= tuple(map(int, version().split("."))):
        sys.exit(f"{number} is not higher than {version()}, the version in featcli/_version.py")
    place = ROOT / "CHANGELOG.md"
    before, _, after = place.read_text("utf-8").partition(UNRELEASED)
    if not after.partition("\n## ")[0].strip():
        sys.exit("CHANGELOG.md has nothing under [Unreleased]")
    today = datetime.datetime.now(datetime.UTC).date()
    place.write_text(f"{before}## [{number}] - {today}\n{after}", "utf-8", newline="\n")
    place = ROOT / "featcli" / "_version.py"
    text = place.read_text("utf-8").replace(f'"{version()}"', f'"{number}"')
    place.write_text(text, "utf-8", newline="\n")


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


def recipe(checksum: str = UNKNOWN_SUM) -> str:
    """Return the recipe for conda-forge; Jinja fills in the two lines at its top."""
    lowest = re.sub(r"\D", "", project()["requires-python"])
    required = "\n".join(f"    - {spaced(one)}" for one in project()["dependencies"])
    return f"""\
{{% set version = "{version()}" %}}
{{% set sha256 = "{checksum}" %}}

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
    - featcli info --versions | grep "compiled kernel"  # [not win]
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


def formula(checksum: str = UNKNOWN_SUM, resources: str = "") -> str:
    """Return the formula for Homebrew, which has formulas of the larger packages.

    Its description has to be shorter than 80 characters.
    """
    return f"""\
class Featcli < Formula
  include Language::Python::Virtualenv

  desc "{project()["description"].replace(" at the command line,", "").rstrip(".")}"
  homepage "{repository()}"
  url "{repository()}/releases/download/v{version()}/featcli-{version()}.tar.gz"
  sha256 "{checksum}"
  license all_of: [{", ".join(f'"{one}"' for one in project()["license"].split(" AND "))}]

  depends_on "numpy"
  depends_on "pillow"
  depends_on "python@{BREWED_PYTHON}"
  depends_on "scipy"

  pypi_packages exclude_packages: %w[{" ".join(BREWED)}]

{resources or RESOURCES_LEFT_OUT}
  def install
    ENV["FEATCLI_BUILD"] = "compiled"
    virtualenv_install_with_resources
    generate_completions_from_executable(bin/"featcli", "completion")
  end

  test do
    assert_match "compiled kernel", shell_output("#{{bin}}/featcli info --versions")
    cp test_fixtures("test.png"), testpath
    system bin/"featcli", "convolve", "test.png", "--kernel", "vertical"
    assert_path_exists testpath/"test.vertical.npy"
  end
end
"""


RESOURCES_LEFT_OUT = """\
  # Here `python tools/publishing.py --recipes` puts a resource for each package that pip would
  # install and Homebrew has no formula of.
"""


def resources() -> str:
    """Return the resources of the formula: the archives of the packages that it is to build."""
    required = [one for one in project()["dependencies"] if name_of(one) not in BREWED]
    found: dict[str, str] = {}
    while required:
        requirement = required.pop()
        if name_of(requirement) not in found:
            released = on_pypi(name_of(requirement))
            found[name_of(requirement)] = resource(requirement, released)
            required += further(released["info"]["requires_dist"] or [])
    return "\n".join(found[name] for name in sorted(found))


def name_of(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def on_pypi(name: str) -> dict:
    with urllib.request.urlopen(f"https://pypi.org/pypi/{name}/json", timeout=60) as answer:
        return json.load(answer)


def further(requirements: list[str]) -> list[str]:
    """Return those of a package's requirements that hold on a Mac and without extras."""
    from packaging.requirements import Requirement

    where = {"extra": "", "sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}
    where |= {"python_version": BREWED_PYTHON, "python_full_version": f"{BREWED_PYTHON}.0"}
    needed = map(Requirement, requirements)
    return [
        f"{one.name}{one.specifier}"
        for one in needed
        if one.name.lower() not in BREWED and (one.marker is None or one.marker.evaluate(where))
    ]


def resource(requirement: str, released: dict) -> str:
    """Return the resource of a package's newest version, which has to be one that is allowed."""
    from packaging.requirements import Requirement

    newest = released["info"]["version"]
    if not Requirement(requirement).specifier.contains(newest):
        sys.exit(f"{requirement} does not allow {newest}, the newest version: write it by hand")
    archive = next(one for one in released["urls"] if one["packagetype"] == "sdist")
    return f"""\
  resource "{name_of(requirement)}" do
    url "{archive["url"]}"
    sha256 "{archive["digests"]["sha256"]}"
  end
"""


def write_recipes(folder: Path, archive: Path) -> None:
    """Write the recipe and the formula as they go to conda-forge and into a tap of Homebrew."""
    if archive.name != f"featcli-{version()}.tar.gz":
        sys.exit(f"{archive.name} is not the source archive of featcli {version()}")
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("meta.yaml", recipe(checksum)),
        ("featcli.rb", formula(checksum, resources())),
    ):
        (folder / name).write_text(text, "utf-8", newline="\n")
        print(folder / name)


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
    what.add_argument("--cut", metavar="NUMBER", help="give the next version this number")
    what.add_argument("--tag", help="the tag under which this version is to be published")
    what.add_argument("--notes", action="store_true", help="print what CHANGELOG.md says of it")
    what.add_argument(
        "--recipes",
        nargs=2,
        type=Path,
        metavar=("FOLDER", "ARCHIVE"),
        help="write recipe and formula of a published source archive",
    )
    arguments = parser.parse_args()
    if arguments.cut:
        cut(arguments.cut)
        return 0
    if arguments.recipes:
        write_recipes(*arguments.recipes)
        return 0
    if arguments.notes:
        print(released()["text"].strip())
        return 0
    found = problems(arguments.tag)
    print("\n".join(found) or f"featcli {version()} may be published")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
