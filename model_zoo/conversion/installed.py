"""Which packages an interpreter has, read from their metadata and never imported.

Runs in any interpreter that is asked, so it uses nothing but the standard library.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import sys


def main(names: list[str]) -> None:
    """Print the versions of these packages, or all there is to know where none is named, as JSON."""
    print(json.dumps(versions(names) if names else everything()))  # noqa: T201 - the parent reads it


def canonical(name: str) -> str:
    """Return the one spelling of a package's name (the name normalisation of the packaging standards)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(names: list[str]) -> dict[str, str | None]:
    """Return the version of each package; ``module:x`` stands for the one that has the module x."""
    found = {_package(name): _version(_package(name)) for name in names}
    if found.get("tensorflow-cpu", "") is None:
        found["tensorflow-cpu"] = _version("tensorflow")
    return found


def everything() -> dict[str, object]:
    """Return the version of every package, the package of every module, and the version of Python."""
    packages: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        packages.setdefault(canonical(one.metadata["Name"]), _version_of(one))
    return {"packages": packages, "modules": modules(), "python": platform.python_version()}


def modules() -> dict[str, str]:
    """Return the package that each top-level module belongs to."""
    found = {name: packages[0] for name, packages in importlib.metadata.packages_distributions().items()}
    if sys.version_info < (3, 11):  # which looks no further than top_level.txt; few wheels have that
        for one in importlib.metadata.distributions():
            files = [file for file in one.files or () if file.suffix == ".py"]
            for file in files:
                found.setdefault(file.parts[0] if len(file.parts) > 1 else file.stem, one.metadata["Name"])
    return found


def _package(name: str) -> str:
    if not name.startswith("module:"):
        return name
    module = name.removeprefix("module:")
    return modules().get(module, module.replace("_", "-"))


def _version(name: str) -> str | None:
    try:
        return _version_of(importlib.metadata.distribution(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def _version_of(package: importlib.metadata.Distribution) -> str:
    """Return a version; OpenVINO's with the number of its build, as in ``2026.4.1-22982``."""
    if canonical(package.metadata["Name"]) != "openvino":
        return package.version
    build = re.search(r"^Build: *(\S+)", package.read_text("WHEEL") or "", re.MULTILINE)
    return package.version + (f"-{build[1]}" if build else "")
