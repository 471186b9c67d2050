"""JAX: a builder returns a function of arrays, which is traced with the recipe's examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino as ov

from model_zoo.conversion.worker import frontend
from model_zoo.conversion.worker.builders import builder_of, callable_of
from model_zoo.conversion.worker.example_inputs import examples_of
from model_zoo.conversion.worker.explain import ways_to
from model_zoo.conversion.worker.port_names import name_ports
from model_zoo.errors import MissingExtraError

if TYPE_CHECKING:
    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Call the builder (with ``weights``, their path, where it names some) and trace the function.

    Raises:
        MissingExtraError: jax is not installed.
    """
    try:
        import jax
    except ImportError as error:
        what = f"converting a JAX model needs jax, which cannot be imported: {error}"
        raise MissingExtraError(what, hint=ways_to("jax")) from error
    builder = builder_of(job)
    kwargs = dict(builder.get("kwargs", {}))
    if builder.get("weights"):
        kwargs["weights"] = job.file(builder["weights"], "recipe.builder.weights")
    function = callable_of(job, builder)(**kwargs)
    traced = jax.make_jaxpr(function)(*examples_of(job).values())
    model = ov.convert_model(traced, extension=job.extensions or None)
    name_ports(job, model)
    return frontend.select(job, model) if frontend.selects(job) else model
