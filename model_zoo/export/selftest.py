"""The self-test of a seed: a child process that has nothing but the seed reads every model from it.

There is no writable cache and no network, and the layer is read-only: any attempt to open a socket, start a
process or write below the seed is refused and fails the test, even for root, who could write anywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_zoo import errors
from model_zoo.errors import CacheError, ModelZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.export.contents import With
    from model_zoo.schema import ConvertedModel
    from model_zoo.zoo import Request, Zoo

_ABOVE = Path(__file__).resolve().parents[2]
_CHILD = "import sys; sys.path.insert(0, sys.argv.pop()); from model_zoo.export.selftest import main; main()"
_WRITES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.utime"}
_NETWORK = {"socket.__new__", "socket.connect", "socket.getaddrinfo"}
_PROCESSES = {"subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork"}


def prove(zoo: Zoo, dest: Path, requests: Sequence[Request], what: With, device: str | None = None) -> None:
    """Read what should be in the seed in a child process; compile it too where a device is given.

    Raises:
        ModelZooError: the child's failure; the seed is left as it is.
    """
    job = {
        "layer": str(dest.absolute()),
        "catalogs": [str(path.absolute()) for path in zoo.settings.catalogs],
        "models": [[request.name, request.precision] for request in requests],
        "what": what,
        "device": device,
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("MODEL_ZOO_")}
    env |= {"MODEL_ZOO_OFFLINE": "1", "MODEL_ZOO_CONFIG": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(_ABOVE)],
        input=json.dumps(job),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=env,
        check=False,
    )
    if done.returncode == 0:
        return
    try:
        fields = json.loads(done.stdout.splitlines()[-1])
        kind = getattr(errors, fields.pop("class"), ModelZooError)
    except (ValueError, IndexError, KeyError, AttributeError):
        tail = "\n".join(done.stderr.splitlines()[-15:])
        message = f"the self-test of the seed ended with exit code {done.returncode}"
        raise CacheError(message, found=tail, hint="report this as a bug") from None
    error: ModelZooError = kind(f"the seed does not work: {fields.pop('what')}", **fields)
    raise error


def main() -> None:
    """Run in the child process: read a job from stdin, exit with the failure's exit code."""
    job = json.loads(sys.stdin.read())
    refused: list[str] = []
    _forbid(job["layer"] + os.sep, refused)
    try:
        _read_all(job)
        if refused:
            what = f"reading it required what a container may not allow: {refused[0]}"
            raise CacheError(what, hint="report this as a bug")
    except ModelZooError as error:
        fields = {name: getattr(error, name) for name in ("what", "expected", "found", "left", "hint")}
        fields = {name: value if value is None else str(value) for name, value in fields.items()}
        print(json.dumps({"class": type(error).__name__, **fields}))  # noqa: T201 - the parent reads it
        sys.stdout.flush()
        raise SystemExit(error.exit_code) from None


def _forbid(layer: str, refused: list[str]) -> None:
    """Refuse, for the rest of this process, what a container may not allow."""
    sys.addaudithook(_hook(layer, refused))


def _hook(layer: str, refused: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        bad = event in _NETWORK | _PROCESSES
        if event == "open":
            path, _, flags = arguments
            bad = _inside(path, layer) and bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        elif event in _WRITES:
            bad = any(_inside(argument, layer) for argument in arguments)
        if bad:
            refused.append(event)
            raise PermissionError(13, f"the self-test forbids {event}")

    return hook


def _inside(path: object, layer: str) -> bool:
    return isinstance(path, (str, bytes)) and os.path.abspath(os.fsdecode(path)).startswith(layer)  # noqa: PTH100


def _read_all(job: dict[str, Any]) -> None:
    from model_zoo.settings import Settings
    from model_zoo.zoo import Zoo

    catalogs = tuple(Path(path) for path in job["catalogs"])
    zoo = Zoo(settings=Settings(layers=(Path(job["layer"]),), catalogs=catalogs, offline=True))
    for name, precision in job["models"]:
        if job["what"] != "ir":
            zoo.fetch(name, precision=precision)
        if job["what"] != "files":
            converted = zoo.convert(name, precision=precision)
            if converted.is_folder:
                _read_folder(converted)
                continue
            zoo.read(name, precision=precision)
            if job["device"]:
                zoo.load(name, precision=precision, device=job["device"])


def _read_folder(converted: ConvertedModel) -> None:
    """Read every IR of a folder model, and verify all its files."""
    from model_zoo import runtime
    from model_zoo.files import hash_file

    for name in converted.manifest.irs or ():
        runtime.read_model(converted.directory / name)
    for entry in converted.manifest.outputs:
        if hash_file(converted.directory / entry.path)["sha256"].hex != entry.sha256:
            what = f"{converted.model.name}: {entry.path} differs from the manifest"
            raise CacheError(what, hint="seed again")
