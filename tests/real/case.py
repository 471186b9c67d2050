"""What a case of a model and its real input is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Member = Callable[[str, str], Path]
Arrays = dict[str, np.ndarray]
Outputs = list[np.ndarray]


@dataclass(frozen=True)
class Case:
    """What a network is fed, by the names of its inputs, and a function that asserts what it gives.

    ``compared`` returns what two runtimes must agree on; default: everything.
    """

    feed: Callable[[Member], Arrays]
    check: Callable[[Outputs, Member], None]
    compared: Callable[[Outputs], Outputs] = list


def module_of(member: Member, wheel: str, path: str) -> Any:
    """Import one file of a wheel, without the package around it."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, member(wheel, path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
