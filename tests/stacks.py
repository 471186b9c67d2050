"""A stack of small wheels, so that environments are built for real within a second and without an index.

Its ``openvino`` is a link to the packages this interpreter has: the worker then really converts in it.
"""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_zoo.conversion import stacks
from tests.tiny import entry, tiny_onnx, write_entry
from tests.wheels import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

OPENVINO = "2026.4.1"
ADDER = b"def make(path):\n    return path\n"
"""A builder of a package: OpenVINO reads the ONNX file it names."""
LINES = (f"openvino=={OPENVINO}", "tensorflow-cpu==2.21.0")


@dataclass(frozen=True)
class Index:
    """Wheels and stack files.

    Attributes:
        wheels: the folder pip finds wheels in.
        stacks: the folder of the stack files.
        env: what pip's settings are.
    """

    wheels: Path
    stacks: Path
    env: dict[str, str]

    def add(self, name: str, version: str, members: dict[str, bytes] | None = None, **more: Any) -> None:
        """Make a wheel."""
        files = {f"{name}/__init__.py": b"", **(members or {})}
        make_wheel(self.wheels, name, version, files, **more)

    def stack(self, name: str, *lines: str, size: int = 5_000_000) -> None:
        """Write a stack file."""
        (self.stacks / f"{name}.txt").write_text("\n".join(["# A test.", f"# bytes: {size}", *lines, ""]))
        stacks._read.cache_clear()

    def use(self, monkeypatch: pytest.MonkeyPatch) -> Index:
        """Make these the stacks and the settings of pip."""
        for name in list(os.environ):
            if name.startswith("PIP_"):
                monkeypatch.delenv(name)
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(stacks, "DIRECTORY", self.stacks)
        return self


def make_index(folder: Path) -> Index:
    """Make the wheels, and the stacks ``tensorflow`` and ``nncf``."""
    wheels, files = folder / "wheels", folder / "stacks"
    wheels.mkdir(parents=True)
    files.mkdir()
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    index = Index(wheels, files, env)
    real = sysconfig.get_path("purelib")
    make_wheel(wheels, "openvino", OPENVINO, {"real.pth": f"{real}\n".encode()}, build="77")
    index.add("tensorflow_cpu", "2.21.0")
    index.add("nncf", "3.4.0")
    index.add("addernet", "1.0", {"addernet/__init__.py": ADDER})
    index.stack("tensorflow", *LINES)
    index.stack("nncf", f"openvino=={OPENVINO}", "nncf==3.4.0")
    return index


def adder(name: str = "adder", **builder: Any) -> dict[str, Any]:
    """Return a catalog entry whose network the package addernet builds."""
    made = {"module": "addernet", "callable": "make", "kwargs": {"path": "files:m.onnx"}}
    recipe = {"builder": {**made, "requirements": ["addernet==1.0"], **builder}}
    return entry(name, tiny_onnx(), {"file": "m.onnx"}, framework="tensorflow", recipe=recipe)


def write_adders(folder: Path, *names: str) -> Path:
    """Write a catalog of such entries."""
    for name in names or ("adder",):
        write_entry(folder, adder(name))
    (folder / "m.onnx").write_bytes(tiny_onnx())
    return folder
