"""``seed``: a read-only layer for a container image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import contents_option, json_option, selecting_options
from model_zoo.cli.selection import gather_contents, names_of
from model_zoo.errors import UsageError
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from model_zoo.cli.session import Session
    from model_zoo.export.contents import With


@click.command("seed")
@click.argument("dest", type=click.Path(path_type=Path), metavar="DEST")
@selecting_options
@contents_option("ir")
@click.option(
    "--compile", "device", metavar="DEVICE", help="Also store OpenVINO's compiled blobs for this device."
)
@json_option("Print one object: path, models, and files, bytes, written, removed.")
@click.pass_obj
def seed_command(
    session: Session,
    /,
    dest: Path,
    what: With,
    device: str | None,
    **selection: Any,  # noqa: ANN401 - what selecting_options add
) -> None:
    """Write a read-only cache layer for a container image to DEST, then prove offline that it works.

    The same models and tools give the same bytes, names, modes and times (SOURCE_DATE_EPOCH, else 0). DEST
    must be missing, empty, or an earlier seed; models that are no longer named are removed from it. Use it
    with MODEL_ZOO_LAYERS=DEST MODEL_ZOO_OFFLINE=1.
    """
    from model_zoo.export.contents import layer_members
    from model_zoo.export.seed import blob_folders, warm, write_seed
    from model_zoo.export.selftest import prove

    if not (selection["references"] or selection["everything"]):
        _check_dest(session, dest)
    if device is not None and what == "files":
        raise UsageError("--compile needs IRs", hint="leave out --with files")
    requests, contents = gather_contents(session, what, **selection)
    mtime, cache = session.mtime, session.zoo.cache
    kept = blob_folders(contents.irs, device) if device else ()
    written = write_seed(dest, layer_members(contents, cache, mtime), cache, mtime=mtime, kept=kept)
    if device is not None:
        warm(contents.irs, dest, device, mtime=mtime)
    prove(session.zoo, dest, requests, what, device)
    path = str(dest.absolute())
    counts = {"files": written.files, "bytes": written.size}
    counts |= {"written": written.written, "removed": written.removed}
    session.print_result(path, {"path": path, "models": names_of(requests), **counts})
    removed = f", {written.removed} removed" if written.removed else ""
    session.note_beside_result(
        f"{counted(written.files, 'file')}, {human_size(written.size)}; {written.written} written{removed}; "
        "every model was read back offline"
    )


def _check_dest(session: Session, dest: Path) -> None:
    """Refuse a model in the position of DEST."""
    from model_zoo.catalog import parse_reference

    try:
        name = parse_reference(str(dest)).name
    except UsageError:
        return
    if name in session.zoo.catalog.files or dest.is_file():
        what = f"DEST is missing: {dest} is a model"
        raise UsageError(what, expected="model-zoo seed DEST REF…", hint=f"model-zoo seed layer {dest}")
