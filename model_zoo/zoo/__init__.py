"""The only place where stages meet: plan → fetch → convert → run.

A ``Request`` says which model; the ``Planner`` turns it into a ``Plan`` by look-ups alone; ``Fetcher`` and
``Converter`` carry out what is missing; ``Pipeline`` joins the three; ``Zoo`` is what the public functions
and the command line call.
"""

from __future__ import annotations

from model_zoo.zoo.plan import Conversion, ConvertOptions, Request
from model_zoo.zoo.zoo import Zoo

__all__ = ["Conversion", "ConvertOptions", "Request", "Zoo"]
