"""``infer`` and ``bench``: compile a model and run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.commands.pipeline import converting_options
from model_zoo.cli.output import print_fields, print_json, print_table
from model_zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from model_zoo.cli.main import Run
    from model_zoo.runtime.inference.boxes import Box
    from model_zoo.runtime.inference.outputs import TensorSummary, TopClass
    from model_zoo.runtime.inference.run import Result
    from model_zoo.schema import ConvertedModel

_SHOWN_SHAPE = 6


@click.command("infer")
@click.argument("reference", metavar="REF")
@click.argument("inputs", nargs=-1, metavar="[INPUT…]", type=click.Path(path_type=Path))
@click.option("--device", default="AUTO", show_default=True, metavar="D", help="OpenVINO's name of a device.")
@click.option(
    "--top", type=click.IntRange(1), default=5, show_default=True, metavar="K", help="Classes to show."
)
@click.option(
    "--config", multiple=True, metavar="KEY=VALUE", help="OpenVINO property for compiling; may repeat."
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write outputs, and pictures with boxes or masks.",
)
@click.option("--json", "as_json", is_flag=True, help="One array with an object for each inference.")
@converting_options
@click.pass_obj
def infer_command(
    run: Run,
    /,
    reference: str,
    inputs: tuple[Path, ...],
    *,
    device: str,
    config: tuple[str, ...],
    as_json: bool,
    top: int,
    save: Path | None,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Compile a model and run it on pictures, .npy/.npz arrays, .wav audio or raw files, or on zeros."""
    from model_zoo import runtime
    from model_zoo.runtime.inference.run import infer

    converted = _converted(run, reference, how)
    compiled = run.zoo.compile(converted, device=device, config=properties(config))
    info = runtime.model_info(runtime.read(converted.xml))
    run.close()
    results = infer(compiled, inputs, info, top=top, save=save)
    if as_json:
        print_json(list(_watched(run, results, len(inputs))))
        return
    for result in _watched(run, results, len(inputs)):
        _print_result(result)


def _converted(run: Run, reference: str, how: dict[str, Any]) -> ConvertedModel:
    run.require_pinned = how.pop("require_pinned")
    return run.zoo.convert(reference, progress=run.report, **how)


def properties(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read ``KEY=VALUE`` pairs.

    Raises:
        UsageError: one has no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            what = f"--config {pair!r} is not KEY=VALUE"
            raise UsageError(what, hint="for example --config PERFORMANCE_HINT=LATENCY")
    return dict(pair.split("=", 1) for pair in pairs)


def _watched(run: Run, results: Iterable[Result], total: int) -> Iterator[Result]:
    """Show a bar over many inputs, on a terminal."""
    bars = (
        run.progress in {"auto", "bar"} and not run.quiet and (run.progress == "bar" or sys.stderr.isatty())
    )
    if total < 2 or not bars:  # noqa: PLR2004 - one inference needs no bar
        yield from results
        return
    from tqdm.auto import tqdm

    yield from tqdm(results, total=total, unit="input", file=sys.stderr, leave=False)


def _print_result(result: Result) -> None:
    click.echo(f"{result['input']}: {result['seconds'] * 1000:.1f} ms")
    if "top" in result:
        print_table([[f"  {_label(one)}", f"{one['score']:.4f}"] for one in result["top"]])
    elif "boxes" in result:
        rows = [
            [f"  {_label(b)}", f"{b['score']:.4f}", " ".join(str(c) for c in b["box"])]
            for b in result["boxes"]
        ]
        print_table(rows or [["  nothing found"]])
    else:
        print_table([_tensor_row(output) for output in result["outputs"]])
    for path in result.get("saved", ()):
        click.echo(f"  saved {path}")


def _label(one: TopClass | Box) -> str:
    return str(one.get("label") or one["index"])


def _tensor_row(output: TensorSummary) -> list[str]:
    figures = [
        f"{name} {output[name]:.6g}" for name in ("min", "mean", "max") if output.get(name) is not None
    ]
    shape = "[" + ", ".join(str(size) for size in output["shape"][:_SHOWN_SHAPE]) + "]"
    return [f"  {output['name']}", str(output["type"]), shape, *figures]


@click.command("bench")
@click.argument("reference", metavar="REF")
@click.option("--device", default="AUTO", show_default=True, metavar="D", help="OpenVINO's name of a device.")
@click.option(
    "-t", "--seconds", type=click.FloatRange(1), default=10, show_default=True, help="How long to measure."
)
@click.option("--hint", type=click.Choice(["latency", "throughput"]), help="What to optimise for.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@converting_options
@click.pass_obj
def bench_command(
    run: Run,
    /,
    reference: str,
    *,
    device: str,
    seconds: float,
    hint: str | None,
    as_json: bool,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Measure latency and throughput of a model through OpenVINO's own benchmark_app."""
    from model_zoo.runtime.measure import bench

    converted = _converted(run, reference, how)
    run.close()
    figures = bench(converted.xml, device=device, seconds=seconds, hint=hint)
    result = {"model": converted.model.name, "precision": converted.precision, **figures}
    if as_json:
        print_json(result)
        return
    spread = f"{result['latency_min_ms']:.2f} min, {result['latency_max_ms']:.2f} max"
    print_fields(
        [
            ("model", f"{result['model']}@{result['precision']}"),
            ("device", str(result["device"])),
            ("latency", f"{result['latency_ms']:.2f} ms median, {spread}"),
            ("throughput", f"{result['throughput_fps']:.1f} per second"),
            (
                "iterations",
                f"{result['iterations']} in {result['seconds']:.1f} s, {result['requests']} at once",
            ),
        ]
    )
