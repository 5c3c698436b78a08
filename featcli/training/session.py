"""A whole training: open the data, train, save checkpoints, and write the model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from featcli.datasets.gathering import Fit, gather
from featcli.datasets.items import DataError, Source
from featcli.datasets.opening import open_source
from featcli.datasets.vectors import Vectors
from featcli.errors import UsageError, WriteError
from featcli.io.atomic import Transaction, deferred_signals
from featcli.models import files
from featcli.models.learning import checkpoint
from featcli.models.learning.architectures import HEAD, NAMED, build, parameters, shapes
from featcli.models.learning.batches import Scale
from featcli.models.learning.product import Preparation, record
from featcli.models.learning.shares import scale_of, split
from featcli.models.learning.starting import initial
from featcli.models.learning.training import (
    Diverged,
    Epoch,
    Observer,
    Training,
    Watch,
)
from featcli.models.network import Network
from featcli.models.operations.base import Array
from featcli.training import trunks
from featcli.training.options import Options
from featcli.training.preparing import first_image, preparation
from featcli.training.tables import vectors_for_head

Told = Callable[[Epoch], None]
_IMBALANCE = 5  # ratio of the largest to the smallest class above which there is a warning


class Session:
    """Train a network, and save model and checkpoint after every epoch.

    Parameters
    ----------
    options : Options
    output : Path
        The model file; the checkpoint is beside it until the training is finished.
    found : Checkpoint, optional
        A checkpoint to resume from; `options` must be those that it was made with.

    Attributes
    ----------
    notes : tuple of str
        Warnings about the data, for the user.
    start : dict of str to ndarray
        The initial weights.

    Raises
    ------
    UsageError, DataError
        The options are invalid, or the data cannot be used for training or need too much memory.
    CheckpointError
        The checkpoint belongs to another training.
    """

    def __init__(
        self, options: Options, output: Path, found: checkpoint.Checkpoint | None = None
    ) -> None:
        self.options, self.output = options, output
        self.checkpoint = checkpoint.path_beside(output)
        self._saved = 0
        self._has_unfinished = False
        self._trunk: trunks.Trunk | None = None
        with self._bounded():
            self._prepare(found)
        if found:
            self._resume(found)

    def _prepare(self, found: checkpoint.Checkpoint | None) -> None:
        """Read the data and build the network."""
        options, recipe = self.options, self.options.recipe
        with self._blaming(found):
            if options.base:  # checked before the data are read
                trunks.of_model(options.base)
        source = open_source(options.data, "train")
        with self._blaming(found):
            source, self.preparation, fit = self._prepared(source)
            # Built before all images are read, which may take long.
            self.network = self._network(source, fit)
        self.dataset = gather(source, fit, strict=options.strict, folder=_near(self.output))
        self.notes = source.notes
        self.start = initial(self.network, recipe.seed)
        weights = {name: array.copy() for name, array in self.start.items()}
        self.training = Training(self.network, weights, self.dataset, self._scale(), recipe)

    @contextlib.contextmanager
    def _blaming(self, found: checkpoint.Checkpoint | None) -> Iterator[None]:
        """In errors about options that come from a checkpoint, name the checkpoint."""
        try:
            yield
        except (UsageError, OSError) as error:
            if not found:
                raise
            raise checkpoint.CheckpointError(f"{self.checkpoint}: {error}") from error

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        """Turn a MemoryError in the `with` block into a DataError that says what to lower."""
        try:
            yield
        except MemoryError as error:
            raise DataError(
                f"there is not enough memory: lower --batch-size "
                f"({self.options.recipe.batch_size}), give a smaller --size, or an --arch with "
                "fewer parameters"
            ) from error

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.dataset.names

    @property
    def whole(self) -> Network:
        """The network including the fixed layers before it."""
        if not self._trunk:
            return self.network
        text = f"{self._trunk.text} | {self.network.text}"
        return Network(text, self._trunk.model.description.network.input)

    def _scale(self) -> Scale:
        """Return the normalization by the training images; none after fixed layers."""
        if self._trunk:
            return Scale()
        recipe = self.options.recipe
        learned, _ = split(self.dataset.classes, recipe.val_split, recipe.seed)
        return scale_of(self.dataset, learned, self.preparation.top)

    def _resume(self, found: checkpoint.Checkpoint) -> None:
        """Resume from a checkpoint."""
        if found.digest != self.dataset.digest:
            raise DataError(
                f"{self._sources()} changed since {self.checkpoint} was made: restore the data, or "
                "start again with --overwrite"
            )
        try:
            self.training.restore(found.arrays, found.steps, found.history)
        except ValueError as error:
            raise checkpoint.broken(self.checkpoint, error) from error
        self._saved = self.training.epoch

    def _sources(self) -> str:
        base = self.options.base
        return f"{self.options.data} or {base} have" if base else f"{self.options.data} has"

    def run(self, told: Told, watch: Watch | None = None, observer: Observer | None = None) -> None:
        """Train to the end, and write model and checkpoint after every epoch.

        `finish` removes the checkpoint.

        Parameters
        ----------
        told : callable
            Called after every epoch, when model and checkpoint have been written.
        watch, observer
            See `Training.run_epoch`.

        Raises
        ------
        Diverged, DataError, WriteError
            The loss is infinite or NaN, there is not enough memory, or an output cannot be written;
            the message says which epoch the model file has.
        """
        try:
            self._save(with_model=self._saved > 0)
            while not self.training.is_over:
                with self._bounded():
                    epoch = self.training.run_epoch(watch, observer)
                self._save()
                told(epoch)
        except (Diverged, DataError, WriteError) as error:
            if not self._saved and not isinstance(error, WriteError):
                self.checkpoint.unlink(missing_ok=True)
            raise type(error)(f"{error}; {self.kept()}") from error
        except (KeyboardInterrupt, SystemExit):
            self._save_unfinished()
            raise

    def finish(self) -> None:
        """Remove the checkpoint, which is not needed any more."""
        self.checkpoint.unlink(missing_ok=True)

    def kept(self) -> str:
        """Return a text that says which epoch the model file has."""
        if not self._saved:
            held = "holds the network of an unfinished first epoch"
            return f"{self.output} {held if self._has_unfinished else 'is not written'}"
        kept = self.training.kept
        better = f", the best of {self._saved}" if kept != self._saved else ""
        return f"{self.output} holds epoch {kept}{better}"

    def ended(self) -> str:
        """Return a text on why training stopped early or which epoch was kept; else empty."""
        recipe, training = self.options.recipe, self.training
        early = training.epoch < recipe.epochs
        if not early and recipe.keep == "last":
            return ""
        epochs = f"{recipe.patience} epoch{'s' * (recipe.patience > 1)}"
        why = f"no better for {epochs}: stopped after {training.epoch}; "
        return f"{why if early else ''}{self.kept()}"

    def _save(self, with_model: bool = True) -> None:
        with deferred_signals(), Transaction() as transaction:
            if with_model:
                self._write_model(transaction)
            stream = transaction.open(self.checkpoint)
            options = self.options.to_json()
            checkpoint.save(stream, self.training, options, self.dataset.digest)
            transaction.commit()
            self._saved = self.training.epoch

    def _save_unfinished(self) -> None:
        """Write a model even if the first epoch was interrupted; the checkpoint is not changed."""
        usable = all(np.isfinite(one).all() for one in self.training.weights.values())
        if self._saved or not usable:
            return
        with deferred_signals(), Transaction() as transaction:
            self._write_model(transaction)
            transaction.commit()
        self._has_unfinished = True

    def _write_model(self, transaction: Transaction) -> None:
        weights = (self._trunk.weights if self._trunk else {}) | self.training.result
        about = record(
            self.output.stem,
            self.whole,
            self.preparation,
            self.training.scale,
            self.names,
            title=self._title(),
            source=self._source_text(),
            # The licence of a model also applies to models that contain its layers.
            licence=self._trunk.model.description.licence if self._trunk else "",
        )
        files.save(transaction.open(self.output), about, weights)

    def _title(self) -> str:
        count = len(self.training.learned)
        title = f"{len(self.names)} classes, learned from {count:,} images"
        history, kept = self.training.history, self.training.kept
        share = history[kept - 1].val_accuracy if kept else None
        if share is not None:
            title += f"; {share:.2%} of {len(self.training.held_out):,} others right"
        return title

    def _source_text(self) -> str:
        recipe = self.options.recipe
        parts = [
            f"featcli train {Path(self.options.data).name}: {self.training.epoch} of "
            f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)}, batches of "
            f"{recipe.batch_size}, {recipe.optimizer} with a rate of {recipe.lr:g} "
            f"({recipe.schedule}), seed {recipe.seed}"
        ]
        parts += [f"the best kept, epoch {self.training.kept}"] if recipe.keep == "best" else []
        parts += ["every class counting the same"] if recipe.balance else []
        parts += [f"augmented by {recipe.augment}"] if recipe.augment != "none" else []
        parts += [f"on the layers of {self.options.base}"] if self.options.base else []
        parts += [f"on the kernels {self.options.kernels}"] if self.options.kernels else []
        return ", ".join(parts)

    def _prepared(self, source: Source) -> tuple[Source, Preparation, Fit]:
        """Choose the preprocessing and the fixed layers before the network."""
        if len(source.names) < 2:
            raise DataError(
                f"{self.options.data}: has only one class, {source.names[0]!r}: "
                "at least two are needed"
            )
        if self.options.base:
            self._trunk = trunks.of_model(self.options.base)
            fit = self._trunk.fit(source.top)
            if isinstance(source, Vectors):
                source, fit = vectors_for_head(source, self._trunk)
            return source, self._trunk.preparation, fit
        if isinstance(source, Vectors):
            raise UsageError(
                f"{self.options.data}: is a table of vectors, from which only a head can be "
                "trained: give --from MODEL --head-only, with the model that made them"
            )
        if self.options.kernels:
            self._trunk, fit = trunks.of_kernels(source, self.options)
            return source, self._trunk.preparation, fit
        return source, *preparation(source, self.options)

    def _network(self, source: Source, fit: Fit) -> Network:
        arch = self.options.recipe.arch
        if self._trunk and arch in NAMED:
            raise UsageError(f"--arch {arch}: takes images; a head is 'dense N | softmax'")
        name, image = first_image(source)
        try:
            shape = fit(image).shape
        except ValueError as error:
            raise DataError(f"{name}: {error}") from error
        return build(arch or HEAD.format(classes=len(source.names)), shape, len(source.names))

    def describe(self) -> Sequence[str]:
        """Return lines for the user that describe data and network."""
        learned, held = len(self.training.learned), len(self.training.held_out)
        return [
            f"{learned:,} images for training, {held:,} for validation, {len(self.names)} classes",
            *imbalance(self.names, self.dataset.classes, self.options.recipe.balance),
            f"{shapes(self.network)}: {parameters(self.network):,} parameters",
        ]


def imbalance(names: Sequence[str], classes: Array, is_balanced: bool) -> list[str]:
    """Return a warning, in a list, if the classes have very different sizes; else []."""
    counts = np.bincount(classes, minlength=len(names))
    most, least = int(counts.argmax()), int(counts.argmin())
    times = counts[most] / max(1, counts[least])
    if times < _IMBALANCE:
        return []
    text = (
        f"the classes have very different sizes: {names[most]!r} has {counts[most]:,} images, "
        f"{names[least]!r} {counts[least]:,}"
    )
    if is_balanced:
        return [f"{text}; with --balance all count the same"]
    return [
        f"{text}: a network that always predicts the first has a high accuracy; with --balance "
        "all count the same"
    ]


def _near(output: Path) -> Path:
    """Return the output's folder, for temporary files: /tmp may be in memory."""
    return next(one for one in output.absolute().parents if one.is_dir())
