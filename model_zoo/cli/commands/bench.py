"""``bench``: latency and throughput of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import converting_options, device_option, json_option
from model_zoo.cli.output import print_fields, print_json

if TYPE_CHECKING:
    from model_zoo.cli.session import Session


@click.command("bench")
@click.argument("reference", metavar="REF")
@device_option
@click.option(
    "-t", "--seconds", type=click.FloatRange(1), default=10, show_default=True, help="How long to measure."
)
@click.option("--hint", type=click.Choice(["latency", "throughput"]), help="What to optimize for.")
@json_option("Print one object.")
@converting_options
@click.pass_obj
def bench_command(
    session: Session,
    /,
    reference: str,
    *,
    device: str,
    seconds: float,
    hint: str | None,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Measure the latency and throughput of a model with OpenVINO's benchmark_app."""
    from model_zoo import runtime

    converted = session.zoo.convert(reference, progress=session.report, **how)
    session.close_progress()
    figures = runtime.bench(converted.xml, device=device, seconds=seconds, hint=hint)
    result = {"model": converted.model.name, "precision": converted.precision, **figures}
    if session.as_json:
        print_json(result)
        return
    spread = f"{result['latency_min_ms']:.2f} min, {result['latency_max_ms']:.2f} max"
    runs = f"{result['iterations']} in {result['seconds']:.1f} s, {result['requests']} in parallel"
    print_fields(
        [
            ("model", f"{result['model']}@{result['precision']}"),
            ("device", str(result["device"])),
            ("latency", f"{result['latency_ms']:.2f} ms median, {spread}"),
            ("throughput", f"{result['throughput_fps']:.1f} per second"),
            ("iterations", runs),
        ]
    )
