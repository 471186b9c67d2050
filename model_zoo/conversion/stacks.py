"""Stacks: the packages a conversion needs beside this one, pinned in one file each.

``stacks/NAME.txt`` is a requirements file as pip reads it. Every line pins one package (``==``), perhaps for
some platforms only (after ``;``); a comment ``# bytes: N`` is the measured size of an environment made of it.
"""

from __future__ import annotations

import functools
import re
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.conversion.toolchain import packages
from model_zoo.formats.frameworks import FRAMEWORKS
from model_zoo.installed import canonical, versions
from model_zoo.schema import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_zoo.schema import Model

DIRECTORY = Path(__file__).parent / "stacks"
SCHEMA = 1
"""Raised when environments are made in another way, so that older ones are not used any more."""
_EXCLUSIVE = {"transformers"}
"""Stacks that cannot be installed beside this package: they need an older huggingface_hub."""
_LINE = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^]]*\])?==(?P<version>[^\s;]+)\s*(;.*)?")
_BYTES = re.compile(r"^# bytes: (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Stack:
    """Pinned requirements under a name.

    Attributes:
        name: the stem of its file.
        requirements: the lines, as pip reads them.
        size: approximate size in bytes of an environment made of them.
    """

    name: str
    requirements: tuple[str, ...]
    size: int

    @property
    def exclusive(self) -> bool:
        """Whether it cannot be installed beside this package."""
        return self.name in _EXCLUSIVE

    @functools.cached_property
    def pins(self) -> dict[str, str]:
        """The pinned version of each package, by its normalised name."""
        matches = filter(None, map(_LINE.fullmatch, self.requirements))
        return {canonical(match["name"]): match["version"] for match in matches}

    @property
    def expected(self) -> dict[str, str]:
        """The version of each package that an environment will most likely have.

        A version of OpenVINO has several builds, but an index usually offers one of them: where this
        interpreter has the pinned version, it is the same build.
        """
        pin, own = self.pins.get("openvino"), versions(["openvino"])["openvino"]
        return self.pins | ({"openvino": own} if own and _is_build_of(own, pin) else {})

    @functools.cached_property
    def digest(self) -> str:
        """What an environment of it is stored under: a digest of requirements, Python and platform."""
        return Digest.of_json(
            {
                "schema": SCHEMA,
                "requirements": sorted(self.requirements),
                "python": sys.implementation.cache_tag,
                "platform": [sysconfig.get_platform(), sysconfig.get_config_var("EXT_SUFFIX")],
            }
        ).hex

    def fits(self, found: Mapping[str, str | None]) -> bool:
        """Whether an environment of the stack would make the same IR as these versions did.

        An index may have several builds of a pinned version: OpenVINO appends a build number, other packages
        a local part, as in ``2.13.0+cpu``.
        """
        return all(_is_build_of(version, self.pins.get(canonical(name))) for name, version in found.items())


def _is_build_of(version: str | None, pin: str | None) -> bool:
    if version is None or pin is None:
        return False
    return version == pin or version.startswith((f"{pin}-", f"{pin}+"))


def stack_of(model: Model, precision: str) -> Stack | None:
    """Return the stack a conversion needs; None where OpenVINO and this package's own needs suffice.

    The packages of ``recipe.builder.requirements`` are part of it.
    """
    row, needed = FRAMEWORKS[str(model.framework)], packages(model, precision)
    if row.stack and not {*row.packages, *row.fallback_packages}.isdisjoint(needed):
        name = row.stack
    elif "nncf" in needed:  # the other stacks have it as well
        name = "nncf"
    else:
        return None
    builder = model.recipe.builder
    return load_stack(name, builder.requirements if builder else ())


def stack_names() -> list[str]:
    """Return the names of all stacks, sorted."""
    return sorted(path.stem for path in DIRECTORY.glob("*.txt"))


def load_stack(name: str, more: tuple[str, ...] = ()) -> Stack:
    """Return the stack of that name, with more requirements; these win over the stack's own."""
    return _read(DIRECTORY / f"{name}.txt", more)


@functools.cache
def _read(path: Path, more: tuple[str, ...]) -> Stack:
    text = path.read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    other = {canonical(requirement.partition("==")[0]) for requirement in more}
    kept = [
        line for line in lines if (match := _LINE.fullmatch(line)) and canonical(match["name"]) not in other
    ]
    size = _BYTES.search(text)
    return Stack(path.stem, (*kept, *more), int(size[1]) if size else 0)
