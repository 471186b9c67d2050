"""Inputs and outputs of OpenVINO models: their names, and shapes without unknown sizes.

Both inference and the conversion worker need this. openvino itself is not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_zoo.formats.images import guess_layout

if TYPE_CHECKING:
    from typing import TypeAlias

    import openvino as ov

    Port: TypeAlias = ov.Output | ov.ConstOutput


def port_name(port: Port) -> str:
    """Return the name people know a port by: its tensor's, else its node's.

    A tensor may have several names, and a device may add some when it compiles. Then the one after which the
    converter named the result itself comes first.
    """
    names, own = port.get_names(), port.get_node().get_friendly_name()
    for known in (own, own.rpartition("/")[0]):
        if known in names:
            return str(known)
    return str(min(names, default=own))


def port_sizes(port: Port) -> tuple[int | None, ...]:
    """Return the sizes of a port's dimensions; None for one that is dynamic."""
    return tuple(dim.get_length() if dim.is_static else None for dim in port.get_partial_shape())


def image_layout(port: Port) -> str | None:
    """Return the declared layout of a port, else the one its shape suggests, such as NCHW."""
    sizes = port_sizes(port)
    layout = port.get_node().layout.to_string().strip("[]").replace(",", "")
    complete = len(layout) == len(sizes) and {"H", "W"} <= set(layout)  # "[...]" means unknown
    return layout if complete else guess_layout(sizes)


def choose_shape(shape: ov.PartialShape, size: int = 32) -> tuple[int, ...]:
    """Return a shape within the bounds of a dynamic one: 1 for the batch, else ``size`` where that fits."""
    return tuple(_choose_size(dim, size if axis else 1) for axis, dim in enumerate(shape))


def _choose_size(dim: ov.Dimension, preferred: int) -> int:
    if dim.is_static:
        return int(dim.get_length())
    low, high = dim.get_min_length(), dim.get_max_length()
    size = max(preferred, low)
    return int(size if high < 0 else min(size, high))
