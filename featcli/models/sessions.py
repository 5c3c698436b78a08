"""onnxruntime's sessions, on a device, and featcli's own networks run by them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli import budget
from featcli.errors import UsageError
from featcli.extras import extra
from featcli.models.exporting import INPUT, tensor_of
from featcli.models.onnx_file import sound

if TYPE_CHECKING:
    from featcli.models.model import Model

Array = npt.NDArray[Any]
_PROVIDERS = {"cuda": "CUDAExecutionProvider"}
_FATAL = 4  # onnxruntime's level: what it raises says it all
Tensors = tuple[str, ...]
_TAKEN: dict[tuple[str, Tensors], bytes] = {}  # by a model's reference and what it gives


class Sessions:
    """The sessions of one ONNX model: one for each choice of tensors that is asked for.

    Each uses one thread: several images at once are the workers' business.

    Parameters
    ----------
    model : onnx.ModelProto, or callable that returns one
        Called where a session needs it.
    device : {"cpu", "cuda"}
    content : callable, optional
        `content(tensors)` gives the bytes of the model with these results, if they are at hand.
    """

    def __init__(
        self,
        model: Any,
        device: str = "cpu",
        content: Callable[[Tensors], bytes | None] = lambda _: None,
    ) -> None:
        self._make, self._device, self._known = model, device, content
        self._session = cache(self._opened)

    @cached_property
    def _model(self) -> Any:
        return self._make() if callable(self._make) else self._make

    def run(self, names: Iterable[str], given: Mapping[str, Array]) -> dict[str, Array]:
        """Return tensors by name.

        Raises
        ------
        ValueError
            The graph cannot be run, or not on these inputs.
        UsageError
            The device is not there.
        """
        wanted = tuple(sorted(set(names)))
        with sound():
            options = extra("onnxruntime", "onnx").RunOptions()
            options.log_severity_level = _FATAL
            found = self._session(wanted).run(list(wanted), given, options)
        return dict(zip(wanted, map(np.asarray, found), strict=True))

    def check_device(self) -> None:
        """Raise UsageError if the device is not there."""
        if self._device != "cpu":
            with sound():
                self._session(tuple(one.name for one in self._model.graph.output[:1]))

    def content(self, tensors: Tensors) -> bytes:
        """Return the bytes of the model, with these tensors among its results."""
        if (found := self._known(tensors)) is not None:
            return found
        onnx, model = extra("onnx", "onnx"), self._model
        known = {one.name for one in model.graph.output}
        if more := [onnx.ValueInfoProto(name=tensor) for tensor in tensors if tensor not in known]:
            model = onnx.ModelProto()
            model.CopyFrom(self._model)
            model.graph.output.extend(more)
        return bytes(model.SerializeToString())

    def _opened(self, tensors: Tensors) -> Any:
        """Open a session that gives these tensors."""
        runtime = extra("onnxruntime", "onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        if _bounded():
            options.add_session_config_entry("session.use_env_allocators", "1")
        wanted = [_PROVIDERS[self._device]] if self._device in _PROVIDERS else []
        if wanted:
            runtime.set_default_logger_severity(_FATAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a provider that is not there is an error below
            providers = [*wanted, "CPUExecutionProvider"]
            content = self.content(tensors)
            session = runtime.InferenceSession(content, options, providers=providers)
        if not set(wanted) <= set(session.get_providers()):
            raise UsageError(
                f"--device {self._device}: onnxruntime runs this model on "
                f"{', '.join(session.get_providers())} alone: install onnxruntime-gpu and what it "
                "needs of CUDA, or leave --device out"
            )
        return session


@cache
def _bounded() -> bool:
    """Let all sessions share at most half of the memory; False where that cannot be known.

    The sizes that a graph computes as it runs cannot be known before: without a bound, one of a few
    bytes could take all that the machine has.
    """
    runtime = extra("onnxruntime", "onnx")
    if most := budget.installed() // 2:
        kinds = runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
        arena = runtime.OrtArenaCfg(most, -1, -1, -1)
        runtime.create_and_register_allocator(runtime.OrtMemoryInfo("Cpu", *kinds), arena)
    return bool(most)


class Handed(NamedTuple):
    """An exported network that was made in one process, for others.

    Attributes
    ----------
    reference : str
        Of the model.
    tensors : tuple of str
        What it gives.
    content : bytes
    """

    reference: str
    tensors: Tensors
    content: bytes

    def take(self) -> None:
        """Keep it for the models of this process."""
        _TAKEN[self.reference, self.tensors] = self.content


class Exported:
    """Runs a network of featcli's own by onnxruntime; see `featcli.models.exporting`.

    Parameters
    ----------
    model : Model
    device : {"cpu", "cuda"}
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        self._model, self._device = model, device
        self._network = model.description.network
        for name in ("onnx", "onnxruntime"):
            if not find_spec(name):
                extra(name, "onnx")

        self._sessions = Sessions(self._exported, device, self._taken)

    def _exported(self) -> Any:
        """Export the model where it is run first: who only hands images to workers need not.

        The checker would take longer than the export; onnxruntime refuses what is not sound.
        """
        from featcli.models.exporting import graph_of

        return graph_of(self._model)

    def _taken(self, tensors: Tensors) -> bytes | None:
        return _TAKEN.get((self._model.reference, tensors))

    def handed(self, names: Sequence[str]) -> Handed:
        """Return what other processes need not export again, to give the named layers."""
        tensors = tuple(sorted({self._tensor(name) for name in names}))
        return Handed(self._model.reference, tensors, self._sessions.content(tensors))

    def check_device(self) -> None:
        """Raise UsageError if the device is not there."""
        if self._device != "cpu":
            self._sessions.check_device()

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return what the named layers give, by name.

        Raises
        ------
        ValueError
            No such layer, or an array of another shape than the network's input.
        """
        self._network.check_input(x.shape)
        tensors = {name: self._tensor(name) for name in names}
        first = np.moveaxis(x, 2, 0) if x.ndim == 3 else x
        given = {INPUT: np.ascontiguousarray(first[np.newaxis], dtype=np.float32)}
        found = self._sessions.run(tensors.values(), given)
        return {name: _channels_last(found[tensor][0]) for name, tensor in tensors.items()}

    def _tensor(self, name: str) -> str:
        """Return what the graph calls what a layer gives."""
        node = self._network.node_of(name)
        return tensor_of(node.last if name == node.name else name)


def _channels_last(data: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(data, 0, 2)) if data.ndim == 3 else data


__all__ = ["Exported", "Handed", "Sessions"]
