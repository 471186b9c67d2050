"""What a Keras file names and refers to, read before Keras does.

A Keras file says which classes its network is made of, and Keras imports what it says. What is allowed
without trust are Keras's own layers, operations, and what configures them; not those that hold code, or read
files that their configuration names. Keras has such a list too, which differs between versions and formats.

Weights are HDF5, which may refer to data in other files: of the host, as a file of somebody else's.
"""

from __future__ import annotations

import json
import re
import zipfile
from typing import IO, TYPE_CHECKING, Any

from model_zoo.conversion.worker.builders import untrusted_code
from model_zoo.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONFIG = "config.json"
_LARGEST_CONFIG = 64 << 20
_PLAIN = frozenset(
    {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__tuple__"}
)
"""Values that Keras writes as if they were objects."""
_MODELS = frozenset({"Functional", "Model", "Sequential"})
_NAMESPACES = (
    "layers",
    "activations",
    "constraints",
    "dtype_policies",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
    "quantizers",
    "regularizers",
    "random",
)
"""Public modules of Keras whose classes configure a network; their functions are named by text."""
_HOLD_CODE_OR_READ_FILES = frozenset(
    {
        "FlaxLayer",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
    }
)
_OPERATIONS = re.compile(r"keras(?:\.src)?\.ops(?:\.(?:core|image|linalg|math|nn|numpy))?")
_HOME = re.compile(rf"keras(?:\.src)?(?:\.models(?:\.\w+)*|\.(?:{'|'.join(_NAMESPACES)})(?:\.\w+)*)?")


def check(path: Path, *, trusted: bool) -> None:
    """Refuse a Keras file that names more than parts of Keras, or refers to other files.

    Args:
        path: a ``.keras`` or HDF5 file; what is neither is left to Keras.
        trusted: what it names may run.

    Raises:
        UntrustedCodeError: it names something else, which is not trusted.
        ConversionError: its weights are in other files.
        OSError, ValueError: it cannot be read.
    """
    import h5py

    configs: list[Any] = []
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".h5"):
                    with archive.open(name) as stream:
                        _check_hdf5(stream, f"{path.name}/{name}")
            with archive.open(_CONFIG) as stream:
                configs.append(_decode(stream.read(_LARGEST_CONFIG + 1)))
    if h5py.is_hdf5(path):
        with path.open("rb") as stream:
            configs += _check_hdf5(stream, path.name)
    for config in configs:
        if isinstance(config, dict):
            config.pop("compile_config", None)  # nothing is compiled
        found = sorted({name for name in _named(config) if name})
        if found and not trusted:
            raise untrusted_code("this Keras model is made of more than Keras's own layers", ", ".join(found))


def _check_hdf5(stream: IO[bytes], name: str) -> list[Any]:
    """Refuse an HDF5 file with data in other files; return the configurations of models in it."""
    import h5py

    outside: list[str] = []

    def link(path: bytes, info: Any) -> None:  # noqa: ANN401
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            outside.append(path.decode(errors="replace"))

    def item(path: str, found: Any) -> None:  # noqa: ANN401
        if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
            outside.append(path)

    with h5py.File(stream, "r") as file:
        file.id.links.visit(link, info=True)
        file.visititems(item)
        config = file.attrs.get("model_config")
    if outside:
        what = f"{name} takes weights from other files"
        hint = "use a file that holds its own weights"
        raise ConversionError(what, found=ascii(", ".join(outside)[:200])[1:-1], hint=hint)
    return [] if config is None else [_decode(config)]


def _decode(data: bytes | str) -> Any:  # noqa: ANN401
    if len(data) > _LARGEST_CONFIG:
        msg = f"its configuration is larger than {_LARGEST_CONFIG} bytes"
        raise ValueError(msg)
    try:
        return json.loads(data)
    except RecursionError:
        msg = "its configuration is too deep"
        raise ValueError(msg) from None


def _named(config: object) -> Iterator[str]:
    """Yield what a configuration names that is not allowed."""
    todo = [config]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            if "class_name" in here and not _is_allowed(here):
                yield _shown(here)
            todo += here.values()
        elif isinstance(here, list):
            todo += here


def _is_allowed(named: dict[str, Any]) -> bool:
    """Whether an object of a configuration is a part of Keras that holds no code and reads no file."""
    import keras

    name, module = named["class_name"], named.get("module")
    if name in _PLAIN if isinstance(name, str) else False:
        return True
    if name == "function":
        name = named.get("config")
        own = module in {"builtins", "keras.activations", "keras.ops"} or module is None
        return own and isinstance(name, str) and hasattr(keras.activations, name)
    if not isinstance(name, str) or name in _HOLD_CODE_OR_READ_FILES:
        return False
    if module is not None and not isinstance(module, str):
        return False
    if module and _OPERATIONS.fullmatch(module):
        return name.isidentifier() and name[0].isupper()
    if module and not _HOME.fullmatch(module):
        return False
    if name in _MODELS or name in {"DTypePolicy", "FloatDTypePolicy"}:
        return True
    homes = (getattr(keras, home, None) for home in _NAMESPACES)
    return any(isinstance(getattr(home, name, None), type) for home in homes)


def _shown(named: dict[str, Any]) -> str:
    name = named["config"] if named["class_name"] == "function" else named["class_name"]
    module = named.get("module")
    return ascii(f"{module}.{name}" if module else f"{name}")[1:-1][:80]
