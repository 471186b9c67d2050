"""Which packages an interpreter has, and how to get those it lacks. They are not imported to find out.

Standard library only: this file also runs by itself in other interpreters, see ``conversion/key.py``.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def main(names: list[str]) -> None:
    """Print the versions of these packages as JSON, or, without names, everything that is installed."""
    print(json.dumps(versions(names) if names else everything()))  # noqa: T201 - the parent reads it


def canonical(name: str) -> str:
    """Return a package's normalised name (as the packaging standards define it)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(names: Iterable[str]) -> dict[str, str | None]:
    """Return the version of each package here, see ``resolve``."""
    return resolve(names, _version, modules)


def resolve(
    names: Iterable[str],
    version_of: Callable[[str], str | None],
    modules: Callable[[], Mapping[str, str]],
) -> dict[str, str | None]:
    """Return the version of each package; None for one that is not installed.

    Args:
        names: packages; ``module:x`` stands for the package that provides the top-level module x, and stays
            as it is where no installed package provides it: which one would is not known.
        version_of: returns the version of a package.
        modules: returns the package of each module; only called when it is needed.
    """
    found: dict[str, str | None] = {}
    for name in names:
        prefix, _, module = name.rpartition(":")
        package = modules().get(module, module.replace("_", "-")) if prefix else name
        version = version_of(package)
        found[name if prefix and version is None else package] = version
    if found.get("tensorflow-cpu", "") is None:  # the package for GPUs as well does just as well
        found["tensorflow-cpu"] = version_of("tensorflow")
    return found


def everything() -> dict[str, object]:
    """Return the version of every package, the package of every module, and the version of Python."""
    packages: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        packages.setdefault(canonical(distribution.metadata["Name"]), _version_of(distribution))
    return {"packages": packages, "modules": modules(), "python": platform.python_version()}


def modules() -> dict[str, str]:
    """Return the package that each top-level module belongs to."""
    found = {name: packages[0] for name, packages in importlib.metadata.packages_distributions().items()}
    if sys.version_info < (3, 11):  # there, only packages with a top_level.txt are found; few wheels have one
        for distribution in importlib.metadata.distributions():
            for file in distribution.files or ():
                if file.suffix == ".py":
                    module = file.parts[0] if len(file.parts) > 1 else file.stem
                    found.setdefault(module, distribution.metadata["Name"])
    return found


def ways_to_install(
    packages: Iterable[str],
    *,
    isolate: str | None = "convert with --isolate",
    pip: bool = True,
    size: str = "",
) -> str:
    """Return the hint for a conversion that lacks packages: every way to get them, the safest first.

    Args:
        packages: as pip takes them.
        isolate: how to convert in an environment of its own; None where there is no such environment.
        pip: whether the packages can be installed beside this one.
        size: what they take on disk, such as ``1.2 GB``.
    """
    about = f" (about {size})" if size else ""
    ways = [f"{isolate}{about}"] if isolate else []
    if pip:
        ways.append(f"pip install {' '.join(packages)}{about}")
    return "; or ".join([*ways, "use an interpreter that has what is missing: --python PATH"])


def _version(name: str) -> str | None:
    try:
        return _version_of(importlib.metadata.distribution(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def _version_of(distribution: importlib.metadata.Distribution) -> str:
    """Return a version; OpenVINO's with its build number, as in ``2026.4.1-22982``."""
    if canonical(distribution.metadata["Name"]) != "openvino":
        return distribution.version
    build = re.search(r"^Build: *(\S+)", distribution.read_text("WHEEL") or "", re.MULTILINE)
    return distribution.version + (f"-{build[1]}" if build else "")
