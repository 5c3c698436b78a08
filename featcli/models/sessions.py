"""Sessions of onnxruntime, for ONNX models and for featcli's own models."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from featcli import budget
from featcli.errors import UsageError
from featcli.extras import extra
from featcli.frame import Array
from featcli.models import exporting
from featcli.models.onnx_file import sound

if TYPE_CHECKING:
    from featcli.models.model import Model

_PROVIDERS = {"cuda": "CUDAExecutionProvider"}
_FATAL = 4  # onnxruntime's log level; lower ones would repeat its exceptions on stderr
Tensors = tuple[str, ...]
_TAKEN: dict[tuple[str, Tensors], bytes] = {}  # exported models, by reference and results


class Sessions:
    """The sessions of an ONNX model, one for each set of tensors that is asked for.

    Each session uses one thread; images are processed in parallel by worker processes.

    Parameters
    ----------
    model : onnx.ModelProto, or callable that returns one
        A callable is called when a session needs the model.
    device : {"cpu", "cuda"}
    content : callable, optional
        `content(tensors)` returns the serialized model with these results, or None.
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
            The graph cannot be run on these inputs.
        UsageError
            The device is not available.
        """
        wanted = tuple(sorted(set(names)))
        with sound():
            options = extra("onnxruntime", "onnx").RunOptions()
            options.log_severity_level = _FATAL
            found = self._session(wanted).run(list(wanted), given, options)
        return dict(zip(wanted, map(np.asarray, found), strict=True))

    def check_device(self) -> None:
        """Raise UsageError if the device is not available."""
        if self._device != "cpu":
            with sound():
                self._session(tuple(one.name for one in self._model.graph.output[:1]))

    def content(self, tensors: Tensors) -> bytes:
        """Return the serialized model, with these tensors among its results."""
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
        """Open a session that returns these tensors."""
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
            warnings.simplefilter("ignore")  # a missing provider raises an error below
            providers = [*wanted, "CPUExecutionProvider"]
            content = self.content(tensors)
            session = runtime.InferenceSession(content, options, providers=providers)
        if not set(wanted) <= set(session.get_providers()):
            raise UsageError(
                f"--device {self._device}: onnxruntime runs this model on "
                f"{', '.join(session.get_providers())} only: install onnxruntime-gpu and the CUDA "
                "libraries that it needs, or leave --device out"
            )
        return session


@cache
def _bounded() -> bool:
    """Limit all sessions together to half of the memory; return False if its size is unknown.

    Sizes in a graph may be computed only when it runs: without a limit, a tiny file could use up
    all memory of the machine.
    """
    runtime = extra("onnxruntime", "onnx")
    if most := budget.installed() // 2:
        kinds = runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
        arena = runtime.OrtArenaCfg(most, -1, -1, -1)
        runtime.create_and_register_allocator(runtime.OrtMemoryInfo("Cpu", *kinds), arena)
    return bool(most)


class Handed(NamedTuple):
    """An exported network that one process has made for others.

    Attributes
    ----------
    reference : str
        The model's reference.
    tensors : tuple of str
        The results that it returns.
    content : bytes
        The serialized model.
    """

    reference: str
    tensors: Tensors
    content: bytes

    def take(self) -> None:
        """Store it for the models of this process."""
        _TAKEN[self.reference, self.tensors] = self.content


class Exported:
    """Run one of featcli's own networks by onnxruntime; see `featcli.models.exporting`.

    Parameters
    ----------
    model : Model
    device : {"cpu", "cuda"}
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        self._reference, self._network = model.reference, model.description.network
        for name in ("onnx", "onnxruntime"):
            if not find_spec(name):
                extra(name, "onnx")
        # Exported at the first run, since the main process may not run it, and not checked: that
        # takes longer than the export, and onnxruntime checks it.
        self._sessions = Sessions(lambda: exporting.graph_of(model), device, self._taken)
        self.check_device = self._sessions.check_device

    def _taken(self, tensors: Tensors) -> bytes | None:
        return _TAKEN.get((self._reference, tensors))

    def handed(self, names: Sequence[str]) -> Handed:
        """Return the exported network with the results of the named layers, for other processes."""
        tensors = tuple(sorted({self._tensor(name) for name in names}))
        return Handed(self._reference, tensors, self._sessions.content(tensors))

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return the results of the named layers.

        Raises
        ------
        ValueError
            There is no such layer, or the array does not have the shape of the network's input.
        """
        self._network.check_input(x.shape)
        tensors = {name: self._tensor(name) for name in names}
        first = np.moveaxis(x, 2, 0) if x.ndim == 3 else x
        given = {exporting.INPUT: np.ascontiguousarray(first[np.newaxis], dtype=np.float32)}
        found = self._sessions.run(tensors.values(), given)
        return {name: _channels_last(found[tensor][0]) for name, tensor in tensors.items()}

    def _tensor(self, name: str) -> str:
        """Return the name in the graph of a layer's result."""
        node = self._network.node_of(name)
        return exporting.tensor_of(node.last if name == node.name else name)


def _channels_last(data: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(data, 0, 2)) if data.ndim == 3 else data
