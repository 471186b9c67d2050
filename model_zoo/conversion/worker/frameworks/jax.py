"""JAX: a builder returns a function of arrays, which is traced with the recipe's example inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.conversion.worker.builders import builder_of, callable_of, examples_of
from model_zoo.conversion.worker.explain import needs
from model_zoo.conversion.worker.ports import convert_traced

if TYPE_CHECKING:
    import openvino as ov

    from model_zoo.conversion.worker.job import Job


def read(job: Job) -> ov.Model:
    """Call the builder (with the path of the ``weights``, if it names any) and trace the function."""
    with needs("converting a JAX model", "jax"):
        import jax
    builder = builder_of(job)
    kwargs = dict(builder.get("kwargs", {}))
    if builder.get("weights"):
        kwargs["weights"] = job.file(builder["weights"], "recipe.builder.weights")
    function = callable_of(job, builder)(**kwargs)
    traced = jax.make_jaxpr(function)(*examples_of(job).values())
    return convert_traced(job, traced)
