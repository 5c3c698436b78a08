"""onnxruntime's sessions, on a device, and featcli's own networks run by them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from featcli.errors import UsageError
from featcli.extras import extra
from featcli.models.onnx_file import sound

if TYPE_CHECKING:
    from featcli.models.model import Model

Array = npt.NDArray[Any]
_PROVIDERS = {"cuda": "CUDAExecutionProvider"}
_FATAL = 4  # onnxruntime's level: what it raises says it all


class Sessions:
    """The sessions of one ONNX model: one for each choice of tensors that is asked for.

    Each uses one thread: several images at once are the workers' business.

    Parameters
    ----------
    model : onnx.ModelProto
    device : {"cpu", "cuda"}
    """

    def __init__(self, model: Any, device: str = "cpu") -> None:
        self._model, self._device = model, device
        self._session = cache(self._opened)
        self.input = model.graph.input[0].name
        self.names = {node.name for node in model.graph.node}

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

    def _opened(self, tensors: tuple[str, ...]) -> Any:
        """Open a session that gives these tensors."""
        onnx, runtime = extra("onnx", "onnx"), extra("onnxruntime", "onnx")
        known = {one.name for one in self._model.graph.output}
        more = [onnx.ValueInfoProto(name=tensor) for tensor in tensors if tensor not in known]
        model = self._model
        if more:
            model = onnx.ModelProto()
            model.CopyFrom(self._model)
            model.graph.output.extend(more)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        wanted = [_PROVIDERS[self._device]] if self._device in _PROVIDERS else []
        if wanted:
            runtime.set_default_logger_severity(_FATAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a provider that is not there is an error below
            providers = [*wanted, "CPUExecutionProvider"]
            content = model.SerializeToString()
            session = runtime.InferenceSession(content, options, providers=providers)
        if not set(wanted) <= set(session.get_providers()):
            raise UsageError(
                f"--device {self._device}: onnxruntime runs this model on "
                f"{', '.join(session.get_providers())} alone: install onnxruntime-gpu and what it "
                "needs of CUDA, or leave --device out"
            )
        return session


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

    @cached_property
    def _sessions(self) -> Sessions:
        """Export the model where it is run first: who only hands images to workers need not.

        The checker would take longer than the export; onnxruntime refuses what is not sound.
        """
        from featcli.models.exporting import graph_of

        return Sessions(graph_of(self._model), self._device)

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
        given = {self._sessions.input: np.ascontiguousarray(first[np.newaxis], dtype=np.float32)}
        found = self._sessions.run(tensors.values(), given)
        return {name: _channels_last(found[tensor][0]) for name, tensor in tensors.items()}

    def _tensor(self, name: str) -> str:
        """Return what the graph calls what a layer gives."""
        node = self._network.node_of(name)
        whole = node.last if name == node.name else name
        return whole if whole in self._sessions.names else f"{whole}_layer"


def _channels_last(data: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(data, 0, 2)) if data.ndim == 3 else data


__all__ = ["Exported", "Sessions"]
