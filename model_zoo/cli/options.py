"""Options that several commands share, and the global ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F = TypeVar("F", bound="Callable[..., Any]")


def global_options(*, hidden: bool) -> list[click.Option]:
    """Return the options of the whole program.

    They belong before the command; ``hidden`` ones are accepted after its name too, where people put them.
    """
    shared: dict[str, Any] = {"hidden": hidden, "expose_value": False, "callback": _set_global}
    if hidden:
        shared["default"] = None

    def option(*names: str, text: str, **attributes: Any) -> click.Option:  # noqa: ANN401 - click's own
        return click.Option(names, help=text, **attributes, **shared)

    modes = click.Choice(["auto", "bar", "json", "none"])
    catalogs = {"type": click.Path(), "multiple": True, "metavar": "P"}
    cache = "Writable cache layer (default: MODEL_ZOO_CACHE, else the user cache)."
    progress = "How to show progress; auto: bars on a terminal, otherwise one line per model."
    verbose = "Log requests, retries and cache decisions; -v -v adds debug output and tracebacks."
    return [
        option("--catalog", "catalogs", text="Add a catalog directory or file; repeatable.", **catalogs),
        option("--cache", type=click.Path(), metavar="DIR", text=cache),
        option("--offline", is_flag=True, text="Never open a socket (same as MODEL_ZOO_OFFLINE=1)."),
        option("--progress", type=modes, text=progress),
        option("-q", "--quiet", is_flag=True, text="Print results and errors only."),
        option("-v", "--verbose", count=True, text=verbose),
    ]


def _set_global(
    context: click.Context, param: click.Parameter, value: Sequence[str] | str | int | None
) -> None:
    """Store a global option in the session; one that is not given changes nothing."""
    session = context.obj
    if not value or session is None:
        return
    name = str(param.name)
    before = getattr(session, name)
    setattr(session, name, before + value if name in {"catalogs", "verbose"} else value)
    if name == "verbose" and not context.resilient_parsing:  # that is completion: keep the prompt clean
        from model_zoo.cli.logs import show_logs

        show_logs(session.verbose, session.log)


def _set_in_session(context: click.Context, param: click.Parameter, value: object) -> None:
    setattr(context.obj, str(param.name), value)


with_default = partial(click.option, show_default=True)
"""An option whose default is shown in its help."""


def session_option(*names: str, **attributes: Any) -> Callable[[F], F]:  # noqa: ANN401 - click's own
    """Return an option whose value goes to the attribute of its name in the session."""
    return click.option(*names, expose_value=False, callback=_set_in_session, **attributes)


def json_option(text: str) -> Callable[[F], F]:
    """Return ``--json``; ``text`` says what is printed then."""
    return session_option("--json", "as_json", is_flag=True, help=text)


require_pinned_option = session_option(
    "--require-pinned", is_flag=True, help="Refuse files that are not pinned by a full digest."
)
trust_code_option = click.option(
    "--trust-code", is_flag=True, help="Allow recipes to run their own Python code."
)
isolate_option = click.option(
    "--isolate/--no-isolate",
    default=None,
    help="Convert in an environment built for the framework (default: MODEL_ZOO_ISOLATE).",
)
dry_run_option = click.option(
    "-n", "--dry-run", is_flag=True, help="Change nothing; print what would be done."
)
device_option = with_default("--device", default="AUTO", metavar="D", help="OpenVINO device name.")
precisions_option = click.option(
    "--precision", "precisions", metavar="P,…", help="Precisions to make (default: each model's first)."
)
precision_option = click.option(
    "--precision", metavar="P", help="Precision to run (default: the reference's, else the model's first)."
)
shape_option = click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NAME=N,…",
    help="Shape of an input whose size is open, such as input=1,3,224,224; repeatable.",
)
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1), metavar="N", help="Number of parallel conversions."
)
all_option = click.option("--all", "everything", is_flag=True, help="Every model in the catalogs.")
reference_argument = click.argument("reference", metavar="REF")
references_argument = click.argument("references", nargs=-1, metavar="REF…")
some_references_argument = click.argument("references", nargs=-1, required=True, metavar="REF…")


def contents_option(default: str | None) -> Callable[[F], F]:
    """Return ``--with``: which half of the cache is handed out."""
    return click.option(
        "--with",
        "what",
        type=click.Choice(["files", "ir", "both"]),
        default=default,
        show_default=default is not None,
        help="The files as fetched, the IRs, or both.",
    )


def output_option(metavar: str, text: str, **attributes: Any) -> Callable[[F], F]:  # noqa: ANN401 - click's own
    """Return ``-o``/``--output`` for a path."""
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path), metavar=metavar, help=text, **attributes
    )


def fetching_options(command: F) -> F:
    """Add the options of every command that may fetch."""
    locked = session_option(
        "--locked",
        "lockfile",
        type=click.Path(path_type=Path),
        metavar="LOCK",
        help="Refuse anything that differs from this lock file (see 'lock').",
    )
    return require_pinned_option(locked(command))


def flavor_option(default: str, text: str) -> Callable[[F], F]:
    """Return ``--flavor``: what a registry or an OCI image layout gets."""
    return with_default("--flavor", type=click.Choice(["image", "modelpack"]), default=default, help=text)


def conversion_options(command: F) -> F:
    """Add the options that are the fields of ``Conversion``."""
    python = click.option("--python", metavar="PY", help="Python interpreter to convert with.")
    calibrate = click.option(
        "--calibrate",
        "calibration",
        metavar="DATA",
        help="Images, .npy or .npz files to calibrate quantization with, or 'random'.",
    )
    return calibrate(isolate_option(python(trust_code_option(command))))


def converting_options(command: F) -> F:
    """Add the options of every command that may convert."""
    return fetching_options(conversion_options(command))


def selecting_options(command: F) -> F:
    """Add the options of every command that hands out IRs: which models, and how to make them."""
    for option in (converting_options, jobs_option, precisions_option, all_option):
        command = option(command)
    return references_argument(command)
