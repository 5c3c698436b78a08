"""Write what derives from the declarations; `--check` only says what has drifted.

Written are the index that lets `featcli --help` start without NumPy, the type stub of the package,
the list of stages and the link for questions in the README, the reference and the table of
variables in `docs/`, the man pages in `docs/man/`, and what publishing needs
(`tools/publishing.py`).
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
INDEX = ROOT / "featcli" / "_index.py"


def summary(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def find_stages() -> dict[str, tuple[str, str]]:
    import featcli.ops
    from featcli.stage import REGISTRY

    for module in pkgutil.iter_modules(featcli.ops.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"featcli.ops.{module.name}")
    importlib.import_module("featcli.models.stages")
    return {
        name: (
            stage.function.__module__.removeprefix("featcli."),
            summary(stage.function.__doc__),
        )
        for name, stage in sorted(REGISTRY.items())
    }


def find_commands() -> dict[str, str]:
    import featcli.cli.commands

    return {
        module.name: summary(importlib.import_module(f"featcli.cli.commands.{module.name}").__doc__)
        for module in pkgutil.iter_modules(featcli.cli.commands.__path__)
    }


def index() -> str:
    return "".join(
        [
            '"""Stages: module, summary; commands: summary (by tools/generate.py)."""\n\n',
            table("STAGES: dict[str, tuple[str, str]]", find_stages()),
            "\n",
            table("COMMANDS: dict[str, str]", find_commands()),
        ]
    )


def table(name: str, rows: Mapping[str, object]) -> str:
    lines = [f"    {key!r}: {about!r},\n" for key, about in rows.items()]
    return f"{name} = {{\n{''.join(lines)}}}\n"


def stub() -> str:
    from featcli import _EXPORTS_ALL

    lines = ['"""The Python API. Written by tools/generate.py."""\n\n']
    for name, module in sorted(_EXPORTS_ALL.items(), key=lambda item: (item[1], item[0])):
        lines.append(f"from {module} import {name} as {name}\n")
    lines.append("\n__version__: str\n")
    return "".join(lines)


def stages_list() -> str:
    """All stages in lines of at most 100 characters."""
    import textwrap

    names = [f"`{name}`" for name in find_stages()]
    return textwrap.fill(f"{', '.join(names[:-1])} and {names[-1]}.", 100) + "\n"


def stages_table() -> str:
    from featcli import stage

    rows = ["| stage | takes | gives | what it does |\n|---|---|---|---|\n"]
    for name, (_, text) in find_stages().items():
        one = stage.get(name)
        rows.append(f"| `{name}` | {one.takes} | {one.gives} | {text} |\n")
    return "".join(rows)


def kernels_table() -> str:
    from featcli import kernels

    rows = ["| kernel | size | what it shows |\n|---|---|---|\n"]
    for name in kernels.names():
        one = kernels.parse(name)
        size = "x".join(map(str, one.values.shape))
        rows.append(f"| `{name}` | {size} | {one.shows} |\n")
    return "".join(rows)


def reference() -> str:
    """Every command's help, as it is printed."""
    import click

    from featcli.cli.main import cli

    settings = {"help_option_names": cli.context_settings["help_option_names"]}
    root = click.Context(cli, info_name="featcli")
    lines = ["# Reference\n\nEvery stage, the help of every command, and every built-in kernel.\n"]
    lines.append(f"\n## Stages\n\n{stages_table()}")
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        context = click.Context(command, root, info_name=name, terminal_width=96, **settings)
        lines.append(f"\n## featcli {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "".join(
        [*lines, "\n## Kernels\n\n", kernels_table(), exit_codes_table(), variables_table()]
    )


def exit_codes_table() -> str:
    from featcli.errors import EXIT_CODES

    rows = "".join(f"| {code} | {text} |\n" for code, text in EXIT_CODES.items())
    return f"\n## Exit codes\n\n| code | when |\n|---|---|\n{rows}"


def variables_rows() -> str:
    from featcli.cli.environment import VARIABLES

    rows = "".join(f"| `{name}` | {text} |\n" for name, text in VARIABLES.items())
    return f"| variable | meaning |\n|---|---|\n{rows}"


def variables_table() -> str:
    lead = "None of them changes a result, beyond the stated tolerance of the engines."
    return f"\n## Environment variables\n\n{lead}\n\n{variables_rows()}"


def pages() -> dict[Path, str]:
    """Return every man page."""
    from manpages import man_pages

    from featcli.cli.main import cli
    from featcli.cli.usage import usage

    return {ROOT / "docs" / "man" / name: text for name, text in man_pages(usage(cli)).items()}


def replace_section(text: str, name: str, body: str) -> str:
    pattern = rf"(<!-- {name} -->\n?).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda found: found[1] + body + found[2], text, flags=re.DOTALL)


def ruff(source: str, name: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", name, "-"]
    return subprocess.run(
        command, input=source, capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout


def wanted() -> dict[Path, str]:
    import publishing

    readme, shell = ROOT / "README.md", ROOT / "docs" / "shell.md"
    return {
        INDEX: ruff(index(), "featcli/_index.py"),
        ROOT / "featcli" / "__init__.pyi": ruff(stub(), "featcli/__init__.pyi"),
        ROOT / "docs" / "reference.md": reference(),
        readme: replace_section(
            replace_section(readme.read_text("utf-8"), "stages", stages_list()),
            "issues",
            publishing.issues(),
        ),
        shell: replace_section(shell.read_text("utf-8"), "variables", variables_rows()),
        **pages(),
        **publishing.files(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    check = parser.parse_args().check
    if not INDEX.exists():
        INDEX.write_text("STAGES: dict = {}\nCOMMANDS: dict = {}\n")
    drifted = {
        path: text
        for path, text in wanted().items()
        if not path.exists() or path.read_text("utf-8") != text
    }
    left = set((ROOT / "docs" / "man").glob("*.1")) - set(pages())
    for path in left:
        print(f"no command: {path.relative_to(ROOT)}")
        if not check:
            path.unlink()
    for path, text in drifted.items():
        print(f"{'drifted' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
    if INDEX in drifted and not check:
        # Everything else is written from the index: once more, with the new one.
        return subprocess.run([sys.executable, __file__], check=False).returncode
    return 1 if check and (drifted or left) else 0


if __name__ == "__main__":
    sys.exit(main())
