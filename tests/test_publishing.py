"""What publishing needs says the same in every place."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import publishing  # noqa: E402
import versions  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def classified() -> list[str]:
    found = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one)
        for one in PROJECT["classifiers"]
    ]
    return [one[1] for one in found if one]


def test_the_classifiers_begin_with_the_lowest_python_that_is_allowed():
    assert f">={classified()[0]}" == PROJECT["requires-python"]


@pytest.mark.parametrize("name", ["tests", "wheels"])
def test_workflows_try_every_python_that_the_classifiers_name(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8"))[
        "jobs"
    ]
    found = [one["strategy"]["matrix"]["python"] for one in jobs.values() if "strategy" in one]
    assert found == [classified()]


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml"],
    ids=lambda path: path.name,
)
def test_what_other_services_read_is_sound(path):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    found = yaml.safe_load(path.read_text("utf-8"))
    for job in found.get("jobs", {}).values():
        assert "uses" in job or job["steps"]
        used = job.get("needs", [])
        assert set([used] if isinstance(used, str) else used) <= set(found["jobs"])


def test_scripts_that_workflows_run_are_there():
    for path in ROOT.glob(".github/workflows/*.yml"):
        for script in re.findall(r"(?:tools/|\.ci/)[\w./-]+", path.read_text("utf-8")):
            assert (ROOT / script).exists(), f"{path.name}: {script}"


def test_the_changelog_has_versions_in_order_with_dates_and_kinds_of_change():
    versions = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", CHANGELOG, re.M)
    assert versions[0][0] == publishing.version()
    numbers = [tuple(map(int, number.split("."))) for number, _ in versions]
    assert numbers == sorted(numbers, reverse=True)
    dates = [date for _, date in versions]
    assert dates == sorted(dates, reverse=True)
    others = set(re.findall(r"^## (?!\[[\d.]+\] - )(.*)$", CHANGELOG, re.M))
    assert others <= {"[Unreleased]"}
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.M)) <= KINDS


def test_the_notes_of_a_version_are_its_section_alone(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["publishing.py", "--notes"])
    assert publishing.main() == 0
    notes = capsys.readouterr().out
    assert notes.startswith("### ")
    assert "\n## " not in notes


def test_a_tag_that_is_not_the_version_publishes_nothing():
    assert any("the tag is v9.9.9" in one for one in publishing.problems("v9.9.9"))


def test_nothing_is_published_while_the_address_names_nobody(monkeypatch):
    tag = f"v{publishing.version()}"
    monkeypatch.setattr(publishing, "repository", lambda: "https://github.com/OWNER/featcli")
    assert any("does not name an owner" in one for one in publishing.problems(tag))
    monkeypatch.setattr(publishing, "repository", lambda: "https://github.com/somebody/featcli")
    assert publishing.problems(tag) == []


def test_the_address_of_the_repository_stands_in_one_place():
    written = {path.relative_to(ROOT).as_posix() for path in publishing.files()} | {
        "pyproject.toml"
    }
    listed = subprocess.run(
        ["git", "grep", "-l", "github.com/OWNER"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode > 1:
        pytest.skip("not a clone")
    assert set(listed.stdout.split()) <= written | {"tests/test_publishing.py"}


def for_platform(text: str, system: str) -> str:
    """Keep the lines of a recipe that conda-build keeps: each may end with a condition."""
    names = {"win": system == "win", "py": 313}
    kept = []
    for line in text.splitlines():
        found = re.search(r"#\s*\[(.+)\]\s*$", line)
        if not found or eval(found[1], {}, names):
            kept.append(line)
    return "\n".join(kept)


@pytest.mark.parametrize("system", ["linux", "osx", "win"])
def test_the_recipe_requires_what_the_package_requires(system):
    jinja2 = pytest.importorskip("jinja2", reason="Jinja is not installed")
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    text = jinja2.Template(for_platform(publishing.recipe(), system)).render(
        compiler="{}-compiler".format, stdlib="{}-stdlib".format, PYTHON="python"
    )
    found = yaml.safe_load(text)
    required = [one.replace(" ", "") for one in found["requirements"]["run"][1:]]
    assert required == PROJECT["dependencies"]
    assert str(found["package"]["version"]) == publishing.version()
    assert found["build"]["entry_points"] == [f"featcli = {PROJECT['scripts']['featcli']}"]
    assert ("c-compiler" in (found["requirements"]["build"] or [])) == (system != "win")
    built = "pure" if system == "win" else "compiled"
    assert found["build"]["script"][0].endswith(f"FEATCLI_BUILD={built}")
    assert "skip" not in found["build"]


RELEASED = {
    "click": ("9.0", ["colorama; platform_system == 'Windows'", "tiny>=1; python_version > '3.8'"]),
    "rich": ("15.1", ["numpy>=2", "tiny<3", "ipywidgets; extra == 'jupyter'"]),
    "tiny": ("2.0", None),
}


def on_a_small_pypi(name):
    number, required = RELEASED[name]
    archive = {"packagetype": "sdist", "url": f"u/{name}.tar.gz", "digests": {"sha256": name * 2}}
    return {"info": {"version": number, "requires_dist": required}, "urls": [archive]}


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setattr(publishing, "on_pypi", on_a_small_pypi)
    path = tmp_path / f"featcli-{publishing.version()}.tar.gz"
    path.write_bytes(b"abc")
    return path


def test_the_formula_builds_what_pip_would_install_and_homebrew_has_not(archive, tmp_path):
    publishing.write_recipes(tmp_path / "new", archive)
    text = (tmp_path / "new" / "featcli.rb").read_text("utf-8")
    assert re.findall(r'resource "(.*)" do', text) == ["click", "rich", "tiny"]
    assert re.findall(r'depends_on "([a-z]+)"', text) == ["numpy", "pillow", "scipy"]
    built = {publishing.name_of(one) for one in PROJECT["dependencies"]} - {"click", "rich"}
    assert built == set(publishing.BREWED)
    checksum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    for name in ("featcli.rb", "meta.yaml"):
        written = (tmp_path / "new" / name).read_text("utf-8")
        assert written.count(checksum) == 1
        assert publishing.UNKNOWN_SUM not in written
    if ruby := shutil.which("ruby"):
        done = subprocess.run([ruby, "-c", tmp_path / "new" / "featcli.rb"], capture_output=True)
        assert done.returncode == 0, done.stderr


def test_the_description_of_the_formula_is_as_homebrew_wants_it():
    (text,) = re.findall(r'desc "(.*)"', publishing.formula())
    assert len(text) < 80
    assert text[0].isupper()
    assert not text.endswith(".")
    assert not text.lower().startswith(("a ", "an ", "the ", "featcli"))


def test_another_archive_than_that_of_the_version_gives_no_recipe(archive, tmp_path):
    other = archive.rename(tmp_path / "featcli-9.9.9.tar.gz")
    with pytest.raises(SystemExit, match="is not the source archive of featcli"):
        publishing.write_recipes(tmp_path / "new", other)
    assert not (tmp_path / "new").exists()


def test_a_requirement_that_refuses_the_newest_version_is_not_guessed():
    with pytest.raises(SystemExit, match=r"click>=9.1 does not allow 9.0"):
        publishing.resource("click>=9.1", on_a_small_pypi("click"))


@pytest.fixture
def unreleased(tmp_path, monkeypatch):
    """A copy of what `--cut` changes, with something that is not released yet."""
    (tmp_path / "featcli").mkdir()
    (tmp_path / "featcli" / "_version.py").write_text('__version__ = "1.2.3"\n')
    text = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- All.\n\n## [1.2.3] - 2026-01-01\n"
    (tmp_path / "CHANGELOG.md").write_text(text)
    monkeypatch.setattr(publishing, "ROOT", tmp_path)
    return tmp_path


def test_a_version_is_cut_from_what_is_unreleased(unreleased, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["publishing.py", "--cut", "1.10.0"])
    assert publishing.main() == 0
    assert publishing.version() == "1.10.0"
    assert publishing.released()["text"].strip() == "### Fixed\n\n- All."
    assert "Unreleased" not in (unreleased / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("number", "words"),
    [("1.2.3", "not higher"), ("1.2.2", "not higher"), ("1.3", "three numbers"), ("", "three")],
)
def test_a_version_that_is_not_the_next_one_changes_nothing(unreleased, number, words):
    before = [path.read_bytes() for path in sorted(unreleased.rglob("*.*"))]
    with pytest.raises(SystemExit, match=words):
        publishing.cut(number)
    assert [path.read_bytes() for path in sorted(unreleased.rglob("*.*"))] == before


def test_nothing_is_cut_where_nothing_is_unreleased(unreleased):
    publishing.cut("1.3.0")
    with pytest.raises(SystemExit, match="nothing"):
        publishing.cut("1.4.0")
    assert publishing.version() == "1.3.0"


def test_the_lowest_and_newest_versions_of_every_extra_of_users_are_tried():
    others = {"dev", "oracles", "docs", "release", "fuzz", "bench", "bench-search"}
    assert set(versions.EXTRAS) == set(PROJECT["optional-dependencies"]) - others
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\d.]+", one) for one in versions.wanted("lowest"))


def test_every_step_of_ci_stands_in_the_table_of_what_runs_when():
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = [row.split("|")[1:-1] for row in re.findall(r"^\|.*\|$", table, re.M)]
    for column, script in ((2, "run"), (3, "release")):
        steps = re.findall(r"^step '(.*)'$", (ROOT / ".ci" / script).read_text("utf-8"), re.M)
        listed = [
            row[0].strip()
            for row in rows
            if len(row) == 4 and row[column].strip() in ("yes", "a part")
        ]
        assert listed == steps, script


def test_the_image_has_one_python_that_is_tested_and_a_user_with_a_number():
    text = (ROOT / "Dockerfile").read_text("utf-8")
    (base,) = set(re.findall(r"^FROM python:([\d.]+)-slim", text, re.M))
    assert base in classified()
    (user,) = re.findall(r"^USER (\d+):(\d+)$", text, re.M)
    assert "0" not in user


def test_the_image_copies_what_building_needs():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    for name in kept:
        assert (ROOT / name).exists(), name
    included = {
        "featcli",
        "kernels",
        "docs/man",
        "hatch_build.py",
        "pyproject.toml",
        PROJECT["readme"],
    }
    assert included | {"LICENSE", "NOTICE", "LICENSES"} == kept


@pytest.mark.slow
def test_tests_and_what_they_need_are_in_the_source_archive(tmp_path):
    pytest.importorskip("build", reason="build is not installed")
    pytest.importorskip("hatchling", reason="needs hatchling")
    command = [
        sys.executable,
        "-m",
        "build",
        "--sdist",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=250)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    left_out = {name for name in listed.stdout.splitlines() if name not in names}
    assert left_out <= {".gitignore", ".dockerignore"}, left_out


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://github.com/OWNER/featcli", "the issues of the repository"),
        (
            "https://github.com/somebody/featcli",
            "[the issues of the repository](https://github.com/somebody/featcli/issues)",
        ),
    ],
)
def test_the_readme_links_to_the_issues_once_there_is_an_address(address, told, monkeypatch):
    import generate

    monkeypatch.setattr(publishing, "project", lambda: PROJECT | {"urls": {"Repository": address}})
    readme = generate.wanted()[ROOT / "README.md"]
    assert f"<!-- issues -->{told}<!-- /issues -->" in readme
    assert len(readme.splitlines()) <= 250
