"""The packages a conversion needs beside this one: stacks that pin them, and ways to get them where missing.

A stack is ``stacks/NAME.txt``, a requirements file as pip reads it. Every line pins one package (``==``),
perhaps for some platforms only (after ``;``); a comment ``# bytes: N`` is the measured size of an environment
made of it.
"""

from __future__ import annotations

import functools
import re
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model_zoo.conversion.key import optional, packages
from model_zoo.conversion.trust import untrusted
from model_zoo.errors import MissingExtraError
from model_zoo.formats.frameworks import FRAMEWORKS
from model_zoo.installed import canonical, versions, ways_to_install
from model_zoo.schema import Digest
from model_zoo.text import human_size

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


def needed(model: Model) -> list[str]:
    """Return what conversion into the default precision needs: a stack, ``trust-code``, or ``nothing``."""
    if not (model.convertible and model.artifacts):
        return []
    stack = stack_of(model, model.precisions[0])
    trust = ["trust-code"] if untrusted(model) else []
    return [*([stack.name] if stack else []), *trust] or ["nothing"]


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


_MODULE = "module:"
"""Begins a name that is a module's, where no installed package provides it."""


def require_packages(
    model: Model,
    precision: str,
    versions: Mapping[str, str | None],
    *,
    python: str | None = None,
    isolated: bool = False,
    reference: str | None = None,
) -> None:
    """Refuse a conversion whose packages are missing.

    ``versions`` has None for a package that is not installed; ``reference`` is what to type for the model.

    Raises:
        MissingExtraError: names the packages, and the ways to get them with their sizes.
    """
    spare = optional(model)
    pins = _pins(model)
    missing = [name for name, version in versions.items() if version is None and name not in spare]
    modules = [name.removeprefix(_MODULE) for name in missing if name.startswith(_MODULE)]
    missing = [name for name in missing if not name.startswith(_MODULE)]
    modules = [name for name in modules if canonical(name) not in pins]  # else a requirement brings it
    if not (missing or modules):
        return
    reason = f"precision {precision}" if missing == ["nncf"] else f"framework {model.framework}"
    where = "in its converter environment" if isolated else f"for {python}" if python else "here"
    names = [*([", ".join(missing)] if missing else []), *(f"the module {name!r}" for name in modules)]
    verb = "is" if len(missing) + len(modules) == 1 else "are"
    what = (
        f"converting {model.name} ({reason}) needs {' and '.join(names)}, which {verb} not installed {where}"
    )
    package = missing[0] if missing else "PACKAGE"
    hints = []
    if isolated:
        hints.append(f"add its package to the entry: recipe.builder.requirements: [{package}==VERSION]")
    elif missing or stack_of(model, precision):
        hints.append(_ways(model, reference or model.name, precision, missing))
    if modules and not isolated:
        hints.append(
            f"if {modules[0]!r} is among the model's files, add recipe.builder.paths; otherwise name the "
            "package that provides it: recipe.builder.requirements: [PACKAGE==VERSION]"
        )
    raise MissingExtraError(what, left="nothing was published", hint="; and ".join(hints))


def _ways(model: Model, reference: str, precision: str, missing: list[str]) -> str:
    pins = _pins(model)
    packages = [pins.get(canonical(name), name) for name in missing]
    stack = stack_of(model, precision)
    if stack is None:
        return ways_to_install(packages, isolate=None)
    option = "" if precision == model.precisions[0] else f" --precision {precision}"
    isolate = (
        f"run 'model-zoo convert --isolate {reference}{option}' (isolate=True, MODEL_ZOO_ISOLATE=1), "
        f"which builds the environment {stack.name!r} in the cache once"
    )
    pip = not stack.exclusive and bool(packages)
    return ways_to_install(packages, isolate=isolate, pip=pip, size=human_size(stack.size))


def _pins(model: Model) -> dict[str, str]:
    """Return the requirements of the recipe's builder by the normalised names of their packages."""
    builder = model.recipe.builder
    return {canonical(line.partition("==")[0]): line for line in (builder.requirements if builder else ())}
