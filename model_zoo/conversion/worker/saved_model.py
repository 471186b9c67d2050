"""What the graph of a SavedModel could do when TensorFlow loads it.

Loading runs parts of the graph: it restores variables, fills tables, traces functions; what is converted
afterwards is folded, which runs its constant parts. To TensorFlow a model is a program: some of its operators
read and write files, call Python, or reach other machines.

Without trust, what is run may consist of operators that compute. TensorFlow's own registry says which have no
state; a few of these reach out nevertheless and are excepted, by the words in their names. Of those with
state, the ones listed below are allowed: they keep what they hold in memory. Operators that write and read
checkpoints are in every SavedModel; they may be there as far as loading does not run them, or gives them the
file's name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_STATEFUL = re.compile(
    r"VarHandleOp|VariableV2|Variable|TemporaryVariable|ReadVariableOp|Assign(?:Add|Sub)?VariableOp"
    r"|VarIsInitializedOp|VariableShape|DestroyResourceOp|DisableCopyOnRead|IsResourceHandleRefCounting"
    r"|Resource(?:Gather|GatherNd|Scatter(?:Nd)?(?:Add|Sub|Mul|Div|Max|Min|Update)|StridedSliceAssign|Apply\w+)"
    r"|StatefulPartitionedCall|If|While|Case|_Arg|_Retval|DeviceIndex|Assert|CheckNumerics(?:V2)?"
    r"|GuaranteeConst|DeepCopy|Empty|Random(?:Uniform|UniformInt|StandardNormal|Shuffle|Gamma|Poisson|PoissonV2"
    r"|Crop)|(?:Parameterized)?TruncatedNormal|Multinomial|Stateful(?:Uniform\w*|StandardNormal(?:V2)?"
    r"|TruncatedNormal|RandomBinomial)|StatelessRandomGetAlg|NonDeterministicInts|Rng(?:Skip|ReadAndSkip)"
    r"|SampleDistortedBoundingBox(?:V2)?|(?:Anonymous|Mutable(?:Dense)?)?HashTable(?:OfTensors)?(?:V2)?"
    r"|LookupTable(?:Find|Insert|Remove|Import|Export|Size)V2|InitializeTableV2"
    r"|TensorArray\w*|Stack(?:Push|Pop|Close)?(?:V2)?"
)
"""Operators with state that keep it in memory."""
_REACHES_OUT = re.compile(
    r"(?<!Sharded)File|Dataset|Reader|Py|Debug|Copy|Xla|TPU|Tpu|Mlir|Snapshot|Iterator|InitializeTable$|CustomAggregator"
)
"""Words in the names of operators without state that touch files all the same, or run other programs."""
_SAVES = frozenset({"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints"})
_RESTORES = frozenset({"Restore", "RestoreSlice", "RestoreV2"})


def operators_that_reach_out(directory: Path) -> list[str]:
    """Return the operators of a SavedModel that could do more than compute, sorted.

    Raises:
        OSError: there is no SavedModel in the directory, or it cannot be parsed.
    """
    from tensorflow.python.saved_model import loader_impl

    graphs = loader_impl.parse_saved_model(str(directory)).meta_graphs
    if len(graphs) == 1 and graphs[0].HasField("object_graph_def"):
        nodes = _of_objects(graphs[0])
    else:
        nodes = (node for graph in graphs for node in _of_graph(graph))
    return sorted({node.op for node in nodes if not _computes(node.op)})


def _computes(operator: str) -> bool:
    """Whether an operator only computes; one that TensorFlow does not know it refuses to load."""
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(operator)
    if known is None:
        return True
    if known.is_stateful:
        return _STATEFUL.fullmatch(operator) is not None
    return _REACHES_OUT.search(operator) is None


def _of_objects(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - a MetaGraphDef
    """Yield the nodes of the functions that objects have, and of those that these call.

    The graph around them, with what saves and restores, is not run: TensorFlow reads the checkpoint itself.
    """
    functions = {one.signature.name: one for one in graph.graph_def.library.function}
    seen: set[str] = set()
    todo = list(graph.object_graph_def.concrete_functions)
    while todo:
        name = todo.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            yield node
            todo += _called(node)
            if node.op in functions:  # a function may be called as if it were an operator
                todo.append(node.op)


def _called(node: Any) -> Iterator[str]:  # noqa: ANN401 - a NodeDef
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _of_graph(graph: Any) -> Iterator[Any]:  # noqa: ANN401 - a MetaGraphDef
    """Yield the nodes of a graph and of its functions, without those that only the saver names.

    What the loader runs it finds by name: signatures, initial values, tables, and with the checkpoint of this
    SavedModel ``saver_def.restore_op_name``.
    """
    named = type(graph)()
    named.CopyFrom(graph)
    named.ClearField("graph_def")
    named.ClearField("saver_def")
    named.collection_def.pop("savers", None)
    text = named.SerializeToString(deterministic=True)
    nodes = graph.graph_def.node
    saved, restored = (_depend_on(nodes, operators) for operators in (_SAVES, _RESTORES))
    restore = graph.saver_def.restore_op_name.partition(":")[0]
    hidden: set[str] = set()
    if restore not in saved and not any(name.encode() in text for name in saved):
        hidden |= _SAVES
    file_name = graph.saver_def.filename_tensor_name.partition(":")[0]
    fed = all(
        _source(node.input[0]) == file_name for node in nodes if node.op in _RESTORES and len(node.input)
    )
    if fed and not any(name.encode() in text for name in restored):
        hidden |= _RESTORES
    for node in nodes:
        if node.op not in hidden:
            yield node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _depend_on(nodes: Iterable[Any], operators: frozenset[str]) -> set[str]:
    """Return the names of all nodes that run such operators, directly or through their inputs."""
    users: dict[str, list[str]] = {}
    todo = []
    for node in nodes:
        if node.op in operators:
            todo.append(node.name)
        for tensor in node.input:
            users.setdefault(_source(tensor), []).append(node.name)
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += users.get(name, ())
    return found


def _source(tensor: str) -> str:
    """Return the node that makes a tensor: ``name``, ``name:1`` or ``^name``."""
    return tensor.removeprefix("^").partition(":")[0]
