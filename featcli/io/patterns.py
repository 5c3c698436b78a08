"""The names of shards, given by a pattern such as `maps-%05d.tar`."""

from __future__ import annotations

import re
from pathlib import Path

from featcli.errors import UsageError

_FIELD = re.compile(r"%(?:0(\d))?d")


def is_pattern(output: str) -> bool:
    """Return whether `-o` is a pattern such as `maps-%05d.tar`; raises UsageError if malformed."""
    name = Path(output).name
    if not name.lower().endswith(".tar") or "%" not in name:
        return False
    Pattern.check(output)
    return True


def is_numbered(output: str) -> bool:
    """Return whether a name contains a field for a number, as those of shards do."""
    return bool(_FIELD.search(Path(output).name))


class OneFile:
    """The interface of `Pattern` for a single file, whose number is 0."""

    def __init__(self, path: Path) -> None:
        self.folder, self._path = path.parent, path

    def path(self, number: int) -> Path:
        """Return the file."""
        return self._path

    def number(self, name: str) -> int | None:
        """Return 0 for the file's name; None for any other."""
        return 0 if name == self._path.name else None


class Pattern:
    """A pattern for the names of shards, such as `maps-%05d.tar`.

    Parameters
    ----------
    path : Path
        Has one field for the number in its last component.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self._before, digits, self._after = _FIELD.split(path.name)
        self._digits = int(digits or 1)

    @staticmethod
    def check(output: str) -> None:
        """Raise UsageError if a text is no pattern of shards."""
        name = Path(output).name
        if len(_FIELD.findall(name)) != 1 or name.count("%") != 1:
            raise UsageError(f"-o {output}: give one number field for the shards: x-%05d.tar")

    def path(self, number: int) -> Path:
        """Return the path of the shard with this number."""
        return self.folder / f"{self._before}{number:0{self._digits}}{self._after}"

    def number(self, name: str) -> int | None:
        """Return the number in a shard's name; None for other names."""
        found = re.fullmatch(rf"{re.escape(self._before)}(\d+){re.escape(self._after)}", name)
        is_ours = found and self.path(int(found[1])).name == name
        return int(found[1]) if found and is_ours else None

    @property
    def expression(self) -> re.Pattern[str]:
        """A regular expression for the paths of all shards."""
        whole = self.folder.resolve() / "x"
        head = re.escape(str(whole)[:-1] + self._before)
        return re.compile(rf"{head}\d+{re.escape(self._after)}")
