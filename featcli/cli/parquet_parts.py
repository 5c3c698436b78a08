"""Processing shards (.tar) into a folder of Parquet files (parts), one for each shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featcli.batch import inputs
from featcli.batch.inputs import Named
from featcli.batch.targets import Request, open_part
from featcli.cli.messages import emit, say
from featcli.cli.reporting import Report
from featcli.cli.settings import Settings
from featcli.errors import FeatError, UsageError
from featcli.io import records
from featcli.io.outputs import Kind

if TYPE_CHECKING:
    from featcli.cli.execute import Run


def run_parts(run: Run) -> int:
    """Process each shard whose part does not exist yet; return the exit code."""
    settings, named, request = run.settings, run.named, run.request
    _check(named, request, settings)
    moved = request._replace(spec=request.spec._replace(kind=Kind.TABLE))
    report: Report | None = None
    skipped = 0
    for one, name in zip(named, _names(named), strict=True):
        target = open_part(moved, name, _state(one))
        if target.is_done():
            skipped += 1
            target.leave()
        elif settings.batch.dry_run:
            with target.destination.explaining():
                target.check_only()
            emit(f"{one.path} -> {request.spec.shown.rstrip('/')}/{name}.parquet")
        else:
            shard = run._replace(named=[one], request=moved, tell=None)
            report = shard.process(target, report)
            if report.has_failed and settings.batch.fail_fast:
                break
    if not settings.printing.quiet and (skipped or settings.batch.dry_run):
        say(f"{skipped} of {len(named)} parts exist already")
    return report.end() if report else 0


def _check(named: Sequence[Named], request: Request, settings: Settings) -> None:
    """Raise UsageError, before any work, for inputs and options that parts do not support."""
    what = f"-o {request.spec.shown} --format parquet"
    if settings.sources.from_file or settings.batch.limit or settings.batch.retry_failed:
        raise UsageError(
            f"{what}: shards are named as INPUT and processed as a whole: leave out --from-file, "
            "--limit and --retry-failed"
        )
    if request.spec.url and not request.spec.url.key:
        raise UsageError(f"{what}: give a folder in the bucket, such as s3://BUCKET/vectors/")
    for one in named:
        path = Path(one.path)
        is_tar_file = one.path != "-" and path.is_file() and inputs.is_tar(path)
        if not (one.remote.is_tar if one.remote else is_tar_file):
            raise UsageError(
                f"{what}: the inputs must be shards (.tar), which {one.path} is not: "
                "give -o FILE.parquet"
            )


def _names(named: Sequence[Named]) -> Iterator[str]:
    """Return the names of the parts; raises UsageError if two are equal."""
    found = [Path(one.remote.name if one.remote else one.path).stem for one in named]
    twice = [name for name, count in Counter(map(str.casefold, found)).items() if count > 1]
    if twice:
        raise UsageError(f"two shards would be written to {twice[0]}.parquet: rename one")
    return iter(found)


def _state(one: Named) -> dict[str, Any]:
    if one.remote:
        return one.remote.state()
    try:
        return dict(records.input_state(one.path))
    except OSError as error:
        raise FeatError(f"{one.path}: {error.strerror or error}") from error
