"""How one of several things ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from model_zoo.errors import ModelZooError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """One of several things that were done: its result, or the error that stopped it."""

    result: T | None = None
    error: ModelZooError | None = None

    def unwrap(self) -> T:
        """Return the result.

        Raises:
            ModelZooError: it failed.
        """
        if self.error is not None:
            raise self.error
        assert self.result is not None  # noqa: S101 - one of the two is there
        return self.result


def attempt(do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Outcome[T]:
    """Call a function; its result or its error is the outcome."""
    try:
        return Outcome(do(*args, **kwargs))
    except ModelZooError as error:
        return Outcome(error=error)
