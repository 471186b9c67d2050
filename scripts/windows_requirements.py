"""Print what the package and its tests need on Windows, with Python 3.11."""

from pathlib import Path

import tomllib
from packaging.requirements import Requirement

ENVIRONMENT = {
    "sys_platform": "win32",
    "platform_system": "Windows",
    "os_name": "nt",
    "python_version": "3.11",
    "python_full_version": "3.11.9",
}
project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
lines = [*project["project"]["dependencies"], *project["dependency-groups"]["test"], "colorama"]
for line in lines:
    requirement = Requirement(line)
    if requirement.marker is None or requirement.marker.evaluate(ENVIRONMENT):
        print(f"{requirement.name}{requirement.specifier}")
