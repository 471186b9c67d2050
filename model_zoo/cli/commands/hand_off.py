"""``seed``, ``export``, ``import``, ``push``, ``pull``: models leave the cache, and come back into one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.commands.pipeline import (
    chosen,
    convertible,
    converting_options,
    json_option,
    put_result,
    set_jobs,
)
from model_zoo.cli.output import print_json
from model_zoo.errors import ModelZooError, UsageError
from model_zoo.text import counted, human_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_zoo.cache.intake import Imported
    from model_zoo.cli.main import Run
    from model_zoo.export.contents import Contents, With
    from model_zoo.zoo import Request

FORMATS = ("dir", "omz", "ovms", "oci", "tar")
_Options = dict[str, Any]


def _selecting(command: Any) -> Any:  # noqa: ANN401 - a decorator
    """Add what says which models are handed out, and how they are made available first."""
    options = [
        click.argument("references", nargs=-1, metavar="REF…"),
        click.option("--all", "everything", is_flag=True, help="Every model of the catalogs."),
        click.option("--precision", "precisions", metavar="P,…", help="Default: each model's first."),
        click.option("-j", "--jobs", type=click.IntRange(1), help="Conversions at once."),
        converting_options,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _with(default: str | None) -> Callable[[Any], Any]:
    return click.option(
        "--with",
        "what",
        type=click.Choice(["files", "ir", "both"]),
        default=default,
        show_default=default is not None,
        help="Files as fetched, IRs, or both.",
    )


def _gathered(run: Run, what: With, options: _Options) -> tuple[list[Request], Contents]:
    """Make all models available; when one fails, say which and leave before anything is written."""
    from model_zoo.export.contents import gather
    from model_zoo.zoo import Conversion

    run.require_pinned = options.pop("require_pinned")
    jobs, stated = options.pop("jobs"), options.pop("precisions")
    set_jobs(run, jobs)
    wishes: list[str | None] = list(filter(None, stated.split(","))) if stated else [None]
    everything = options.pop("everything")
    slots = chosen(run, options.pop("references"), everything=everything, precisions=wishes)
    if everything and what != "files":
        slots = convertible(run, slots)
    refused = [(name, slot) for name, slot in slots if isinstance(slot, ModelZooError)]
    run.finish(refused, len(slots))
    requests = [slot for _, slot in slots if not isinstance(slot, ModelZooError)]
    contents = gather(run.zoo, requests, what, Conversion(**options), run.report, run.settings.jobs)
    run.finish(contents.errors, len(requests))
    return requests, contents


def _mtime(run: Run) -> int:
    return run.settings.source_date_epoch or 0


@click.command("seed")
@click.argument("dest", type=click.Path(path_type=Path), metavar="DEST")
@_selecting
@_with("ir")
@click.option("--compile", "device", metavar="DEVICE", help="Also store OpenVINO's compiled blobs for it.")
@json_option("One object: path, models, and files, bytes, written and removed.")
@click.pass_obj
def seed_command(run: Run, /, dest: Path, what: With, device: str | None, **options: Any) -> None:  # noqa: ANN401
    """Write a read-only layer for a container image to DEST, then prove offline that it works.

    The same models and tools give the same bytes, names, modes and times (SOURCE_DATE_EPOCH, else 0).
    DEST is absent, empty, or an earlier seed, out of which goes what is no longer asked for. Use it with
    MODEL_ZOO_LAYERS=DEST MODEL_ZOO_OFFLINE=1.
    """
    from model_zoo.export.contents import layer_members
    from model_zoo.export.seed import write_seed
    from model_zoo.export.selftest import prove
    from model_zoo.export.warm import blob_folders, warm

    if not (options["references"] or options["everything"]):
        _check_dest(run, dest)
    if device is not None and what == "files":
        raise UsageError("--compile needs IRs", hint="leave out --with files")
    requests, contents = _gathered(run, what, options)
    mtime, cache = _mtime(run), run.zoo.cache
    kept = blob_folders(contents.irs, device) if device else ()
    written = write_seed(dest, layer_members(contents, cache, mtime), cache, mtime=mtime, kept=kept)
    if device is not None:
        warm(contents.irs, dest, device, mtime=mtime)
    prove(run.zoo, dest, requests, what, device)
    path = str(dest.absolute())
    counts = {
        "files": written.files,
        "bytes": written.size,
        "written": written.written,
        "removed": written.removed,
    }
    put_result(run, path, path=path, models=_names(requests), **counts)
    if not (run.quiet or run.as_json):
        summary = f"{counted(written.files, 'file')}, {human_size(written.size)}; {written.written} written"
        removed = f", {written.removed} removed" if written.removed else ""
        click.echo(f"{summary}{removed}; every model was read from it offline", err=True)


def _check_dest(run: Run, dest: Path) -> None:
    """Refuse a model in the place of DEST.

    Raises:
        UsageError: the only argument is a model.
    """
    from model_zoo.catalog import parse_reference

    try:
        name = parse_reference(str(dest)).name
    except UsageError:
        return
    if name in run.zoo.catalog.files or dest.is_file():
        what = f"DEST is missing: {dest} is a model"
        raise UsageError(what, expected="model-zoo seed DEST REF…", hint=f"model-zoo seed layer {dest}")


@click.command("export")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="Who is to read it.")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="OUT",
    help="Folder or file to write.",
)
@_selecting
@_with(None)
@click.option(
    "--flavor",
    type=click.Choice(["image", "modelpack"]),
    default="image",
    show_default=True,
    help="oci: a container image, or a ModelPack artifact.",
)
@click.option("--tag", default="latest", show_default=True, help="oci: the image's tag in the layout.")
@click.option(
    "--arch", default="amd64", show_default=True, help="oci: architecture an image is said to be for."
)
@click.option("--base-path", metavar="PATH", help="ovms: where the server sees OUT (default: relative).")
@click.option("--model-version", type=click.IntRange(1), default=1, show_default=True, help="ovms: version.")
@json_option("One object: format, path, models.")
@click.pass_obj
def export_command(run: Run, /, form: str, out: Path, what: With | None, **options: Any) -> None:  # noqa: ANN401
    r"""Write models to OUT as other programs want them; everything written is a copy.

    \b
    dir   OUT/NAME.xml, OUT/NAME.bin (NAME-PRECISION where a model comes in
          several); of a folder model OUT/NAME/
    omz   OUT/SUBDIRECTORY/PRECISION/NAME.xml, as omz_converter did
    ovms  OUT/NAME/1/model.xml and OUT/config.json for OpenVINO Model Server;
          of a generative model OUT/NAME/ with its graph.pbtxt
    oci   an OCI image layout: a folder, or one file when OUT ends in .tar
    tar   one file that 'model-zoo import' takes back; --with both unless said
          otherwise
    """
    flavor, tag, arch = options.pop("flavor"), options.pop("tag"), options.pop("arch")
    base_path, version = options.pop("base_path"), options.pop("model_version")
    if form != "tar" and what not in {None, "ir"}:
        raise UsageError(f"--format {form} holds IRs only", hint="--with is for --format tar")
    requests, contents = _gathered(run, what or ("both" if form == "tar" else "ir"), options)
    irs, mtime = contents.irs, _mtime(run)
    if form in {"dir", "omz"}:
        from model_zoo.export import views

        path = views.export_dir(irs, out) if form == "dir" else views.export_omz(irs, out)
    elif form == "ovms":
        from model_zoo.export import ovms

        path = ovms.export_ovms(irs, out, version=version, base_path=base_path)
    elif form == "oci":
        from model_zoo.registry import layout
        from model_zoo.registry.image import build_image

        image = build_image(irs, flavor, mtime=mtime, architecture=arch)
        path = layout.write_layout(image, out, tag, mtime=mtime)
    else:
        from model_zoo.export import archive

        path = archive.export_tar(contents, run.zoo.cache, out, mtime=mtime)
    put_result(run, str(path), format=form, path=str(path), models=_names(requests))


_taken_option = json_option("One array with an object for each folder: name, precision, path, key.")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@_taken_option
@click.pass_obj
def import_command(run: Run, file: Path) -> None:
    """Take models from a tar made by 'export --format tar' into the cache; every digest is checked first."""
    from model_zoo.export.archive import import_tar

    _print_imported(run, import_tar(run.zoo, file))


@click.command("push")
@click.argument("target", metavar="REGISTRY/REPO[:TAG]")
@_selecting
@click.option(
    "--flavor",
    type=click.Choice(["modelpack", "image"]),
    default="modelpack",
    show_default=True,
    help="A ModelPack artifact, or a container image.",
)
@click.option("--arch", default="amd64", show_default=True, help="Architecture an image is said to be for.")
@json_option("One object: reference, digest, models, blobs, sent.")
@click.pass_obj
def push_command(run: Run, /, target: str, flavor: Any, arch: str, **options: Any) -> None:  # noqa: ANN401
    """Send IRs to a registry and print the digest they are pulled by; blobs it has are not sent again.

    Logins are those of docker, podman and skopeo. For a registry without TLS write http:// before it.
    """
    from model_zoo.registry.image import build_image
    from model_zoo.registry.remote import push
    from model_zoo.sources.oci.reference import oci_reference

    place = oci_reference(target)
    if place.digest is not None:
        raise UsageError(f"{target} names a digest, which follows from the content", hint="push to a tag")
    requests, contents = _gathered(run, "ir", options)
    image = build_image(contents.irs, flavor, mtime=_mtime(run), architecture=arch)
    sent = push(place, image, run.settings, run.report)
    name = f"{place.host}/{place.repository}@{image.digest}"
    facts = {"digest": str(image.digest), "blobs": len(image.blobs), "sent": sent}
    put_result(run, name, reference=name, models=_names(requests), **facts)
    if not (run.quiet or run.as_json):
        click.echo(f"{sent} of {counted(len(image.blobs), 'blob')} sent", err=True)


@click.command("pull")
@click.argument("target", metavar="REGISTRY/REPO[:TAG|@DIGEST]")
@_taken_option
@click.pass_obj
def pull_command(run: Run, target: str) -> None:
    """Take IRs from a registry into the cache; an interrupted pull goes on where it stopped."""
    from model_zoo.registry.remote import pull
    from model_zoo.sources.oci.reference import oci_reference

    _print_imported(run, pull(oci_reference(target), run.zoo.cache, run.settings, run.report))


def _print_imported(run: Run, imported: Imported) -> None:
    """Print one line for each IR and each model's folder that is in the cache now."""
    run.close()
    cache = run.zoo.cache
    rows: list[dict[str, str | None]] = []
    for key in imported.irs:
        if (found := cache.find_ir(key)) is not None:
            folder, manifest = found
            path = folder if manifest.is_folder else folder / "model.xml"
            rows.append(
                {"name": manifest.model, "precision": manifest.precision, "path": str(path), "key": key}
            )
    for model, declaration in imported.files:
        if (fetched := cache.find_files(model, declaration)) is not None:
            rows.append({"name": model, "precision": None, "path": str(fetched[0]), "key": None})
    if run.as_json:
        print_json(rows)
        return
    for row in rows:
        click.echo(row["path"])


def _names(requests: Sequence[Request]) -> list[str]:
    return [request.model.name for request in requests]
