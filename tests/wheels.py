"""Make small real wheels, for a real pip to find."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    members: Mapping[str, bytes],
    *,
    record: Mapping[str, str] | None = None,
    build: str | None = None,
    requires: Sequence[str] = (),
) -> Path:
    """Write ``NAME-VERSION-py3-none-any.whl``; ``record`` overrides what RECORD says of a member."""
    info = f"{name}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/METADATA"] += "".join(f"Requires-Dist: {one}\n" for one in requires).encode()
    if build is not None:
        files[f"{info}/WHEEL"] += f"Build: {build}\n".encode()
    rows = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},{(record or {}).get(path, f'sha256={digest}')},{len(data)}")
    rows.append(f"{info}/RECORD,,")
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/RECORD", "\n".join(rows) + "\n")
    return wheel
