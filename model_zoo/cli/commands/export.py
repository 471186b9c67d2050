"""``export``: models in the formats of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import (
    contents_option,
    flavor_option,
    json_option,
    output_option,
    selecting_options,
    with_default,
)
from model_zoo.cli.selection import gather_contents, names_of
from model_zoo.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from model_zoo.cli.session import Session
    from model_zoo.export.contents import With
    from model_zoo.registry.image import Flavor

FORMATS = ("dir", "omz", "ovms", "oci", "tar")


@click.command("export")
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="Format to write.")
@output_option("OUT", "Directory or file to write.", required=True)
@selecting_options
@contents_option(None)
@flavor_option("image", "oci: a container image or a ModelPack artifact.")
@with_default("--tag", metavar="TAG", default="latest", help="oci: the image's tag.")
@with_default("--arch", metavar="ARCH", default="amd64", help="oci: architecture recorded in the image.")
@click.option(
    "--base-path", metavar="PATH", help="ovms: path at which the server sees OUT (default: relative)."
)
@with_default("--model-version", metavar="N", type=click.IntRange(1), default=1, help="ovms: model version.")
@json_option("Print one object: format, path, models.")
@click.pass_obj
def export_command(
    session: Session,
    /,
    form: str,
    output: Path,
    what: With | None,
    *,
    flavor: Flavor,
    tag: str,
    arch: str,
    base_path: str | None,
    model_version: int,
    **selection: Any,  # noqa: ANN401 - what selecting_options add
) -> None:
    r"""Write models to OUT in the format of another program; everything written is a copy.

    \b
    dir   OUT/NAME.xml, OUT/NAME.bin (NAME-PRECISION if a model is written in
          several); OUT/NAME/ for a folder model
    omz   OUT/SUBDIRECTORY/PRECISION/NAME.xml, the layout of omz_converter
    ovms  OUT/NAME/1/model.xml and OUT/config.json for OpenVINO Model Server;
          OUT/NAME/ with its graph.pbtxt for a generative model
    oci   an OCI image layout: a directory, or one file if OUT ends in .tar
    tar   one file for 'model-zoo import'; defaults to --with both
    """
    if form != "tar" and what not in {None, "ir"}:
        raise UsageError(f"--format {form} holds IRs only", hint="use --with only with --format tar")
    requests, contents = gather_contents(session, what or ("both" if form == "tar" else "ir"), **selection)
    irs, mtime = contents.irs, session.mtime
    if form in {"dir", "omz"}:
        from model_zoo.export import views

        path = views.export_dir(irs, output) if form == "dir" else views.export_omz(irs, output)
    elif form == "ovms":
        from model_zoo.export import ovms

        path = ovms.export_ovms(irs, output, version=model_version, base_path=base_path)
    elif form == "oci":
        from model_zoo.registry.image import build_image, write_layout

        image = build_image(irs, flavor, mtime=mtime, architecture=arch)
        path = write_layout(image, output, tag, mtime=mtime)
    else:
        from model_zoo.export.contents import export_tar

        path = export_tar(contents, session.zoo.cache, output, mtime=mtime)
    session.print_result(str(path), {"format": form, "path": str(path), "models": names_of(requests)})
