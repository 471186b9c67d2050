"""What the hostile cases share: seals, damage, bounded processes."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEGA = 1 << 20
REPOSITORY = Path(__file__).parents[2]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of_json(value: object) -> str:
    """Return the sha256 of canonical JSON, as keys and seals are made (contract: sorted keys, no spaces)."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def sealed(manifest: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest with the seal an attacker, or a bug, would give it."""
    data = {key: value for key, value in manifest.items() if key != "seal"}
    return json.dumps({**data, "seal": digest_of_json(data)}, sort_keys=True, indent=1).encode() + b"\n"


def overwrite(path: Path, data: bytes) -> None:
    """Change a published file in place, whatever its mode; other names of the file change with it."""
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.truncate(0)
        stream.write(data)


def reseal(path: Path, **changes: Any) -> None:
    """Change a manifest and seal it again; a value of ``...`` removes the key."""
    data = {**json.loads(path.read_bytes()), **changes}
    overwrite(path, sealed({key: value for key, value in data.items() if value is not ...}))


@dataclass(frozen=True)
class Ended:
    """How a process of its own ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        return self.out + self.err

    def refused(self, *codes: int) -> Ended:
        assert self.code in (codes or range(2, 9)), f"exit {self.code}\n{self.text[-3000:]}"
        return self


_RUN = "import sys; from model_zoo.cli.main import main; main(sys.argv[1:])"
_OMZ = "import sys; from model_zoo.omz.{0} import main; sys.exit(main())"


def bounded(
    *arguments: object,
    seconds: float = 20,
    memory: int = 1200 * MEGA,
    cwd: Path | None = None,
    program: Sequence[str] = ("-c", _RUN),
    files: int | None = None,
    file_size: int | None = None,
    prefix: Sequence[str] = (),
    **env: str,
) -> Ended:
    """Run ``model-zoo ARGUMENTS`` as a process that may use so much time (s) and address space (bytes).

    What runs out of time ends with code -9 and fails whatever expects an error of ours.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    started = time.monotonic()
    process = subprocess.Popen(
        [*prefix, sys.executable, *program, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        preexec_fn=limit,  # noqa: PLW1509 - no threads of ours hold locks here
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Ended(-9, out, f"{err}\nstill running after {seconds} s", time.monotonic() - started)
    return Ended(process.returncode, out, err, time.monotonic() - started)
