"""``import``, ``push`` and ``pull``: models between the cache and a tar or a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import flavor_option, json_option, selecting_options, with_default
from model_zoo.cli.selection import gather_contents, names_of
from model_zoo.errors import UsageError
from model_zoo.text import counted

if TYPE_CHECKING:
    from model_zoo.cache.intake import Imported
    from model_zoo.cli.session import Session
    from model_zoo.registry.image import Flavor

_imported_option = json_option(
    "Print an array with one object per IR or directory: name, precision, path, key."
)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@_imported_option
@click.pass_obj
def import_command(session: Session, file: Path) -> None:
    """Import models from a tar written by 'export --format tar', after verifying every digest."""
    from model_zoo.export.contents import import_tar

    _print_imported(session, import_tar(session.zoo, file))


@click.command("pull")
@click.argument("target", metavar="REGISTRY/REPO[:TAG|@DIGEST]")
@_imported_option
@click.pass_obj
def pull_command(session: Session, target: str) -> None:
    """Pull IRs from a registry into the cache; an interrupted pull resumes where it stopped."""
    from model_zoo.registry.remote import pull
    from model_zoo.sources.oci.reference import oci_reference
    from model_zoo.zoo.policy import check_license

    def check(stated: str) -> None:
        check_license(target, stated, session.settings.policy)

    image, cache = oci_reference(target), session.zoo.cache
    _print_imported(session, pull(image, cache, session.settings, session.report, check))


def _print_imported(session: Session, imported: Imported) -> None:
    """Print one line for each IR and each model's directory that is in the cache now."""
    cache = session.zoo.cache
    rows: list[dict[str, str | None]] = []
    for key in imported.irs:
        if (ir := cache.find_ir(key)) is not None:
            directory, manifest = ir
            path = str(directory if manifest.is_folder else directory / "model.xml")
            rows.append({"name": manifest.model, "precision": manifest.precision, "path": path, "key": key})
    for model, declaration in imported.files:
        if (files := cache.find_files(model, declaration)) is not None:
            rows.append({"name": model, "precision": None, "path": str(files[0]), "key": None})
    session.print_result("\n".join(str(row["path"]) for row in rows), rows)


@click.command("push")
@click.argument("target", metavar="REGISTRY/REPO[:TAG]")
@selecting_options
@flavor_option("modelpack", "A ModelPack artifact or a container image.")
@with_default("--arch", metavar="ARCH", default="amd64", help="Architecture recorded in an image.")
@json_option("Print one object: reference, digest, models, blobs, sent.")
@click.pass_obj
def push_command(
    session: Session,
    /,
    target: str,
    *,
    flavor: Flavor,
    arch: str,
    **selection: Any,  # noqa: ANN401 - what selecting_options add
) -> None:
    """Push IRs to a registry, and print the digest to pull them by; blobs it already has are not sent again.

    Logins are those of docker, podman and skopeo. For a registry without TLS, prefix it with http://.
    """
    from model_zoo.registry.image import build_image
    from model_zoo.registry.remote import push
    from model_zoo.sources.oci.reference import oci_reference

    repository = oci_reference(target)
    if repository.digest is not None:
        what = f"cannot push to a digest: {target}"
        raise UsageError(what, hint="push to a tag; the digest follows from the content")
    requests, contents = gather_contents(session, "ir", **selection)
    image = build_image(contents.irs, flavor, mtime=session.mtime, architecture=arch)
    sent = push(repository, image, session.settings, session.report)
    name = f"{repository.host}/{repository.repository}@{image.digest}"
    blobs, value = len(image.blobs), {"reference": name, "digest": str(image.digest)}
    session.print_result(name, {**value, "models": names_of(requests), "blobs": blobs, "sent": sent})
    session.note_beside_result(f"sent {sent} of {counted(blobs, 'blob')}")
