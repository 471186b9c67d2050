"""Files of others in the readers of real frameworks: none writes or reads anything outside of the model.

Each file would leave a marker, or carry a text of this host, if it were simply loaded.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.conversion.worker import keras_file
from model_zoo.conversion.worker.saved_model import operators_that_reach_out
from model_zoo.errors import ConversionError, UntrustedCodeError
from tests.conversion.support import entry, run, run_here
from tests.tools import require_module

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def tf() -> Any:
    require_module("tensorflow")
    import tensorflow as tf

    return tf


class Touch:
    """Leaves the marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


# --- SavedModels that only TensorFlow loads


def without_signature(tf: Any, folder: Path, function: Any, **attributes: Any) -> None:
    """Save a module with that ``__call__`` and no signature."""
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.__call__ = tf.function(function, autograph=False)
    module.__call__.get_concrete_function(tf.TensorSpec([1, 4], tf.float32, name="x"))
    tf.saved_model.save(module, str(folder))


def writing(tf: Any, marker: str) -> dict[str, Any]:
    """Return functions of ``x`` that reach a file, by the operator that does."""

    def after(work: Any) -> Any:
        def function(x: Any) -> Any:
            with tf.control_dependencies([work()]):
                return x + 1

        return function

    return {
        "WriteFile": after(lambda: tf.io.write_file(marker, "x")),
        "ReadFile": after(lambda: tf.io.read_file(marker)),
        "MatchingFiles": after(lambda: tf.io.matching_files(f"{marker}*")),
        "SaveV2": after(lambda: tf.raw_ops.SaveV2(
            prefix=marker, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.ones(3)])),
        "RestoreV2": after(lambda: tf.raw_ops.RestoreV2(
            prefix=marker, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]),
        "PrintV2": after(lambda: tf.raw_ops.PrintV2(input="x", output_stream=f"file://{marker}")),
        "DebugIdentity": lambda x: tf.raw_ops.DebugIdentity(
            input=x, device_name="", tensor_name="x:0", debug_urls=[f"file://{marker}"]),
        "TextLineDataset": after(lambda: tf.raw_ops.TextLineDataset(
            filenames=marker, compression_type="", buffer_size=0)),
        "PyFuncStateless": lambda x: tf.raw_ops.PyFuncStateless(input=[x], token="t", Tout=[tf.float32])[0],
    }  # fmt: skip


OPERATORS = (
    "WriteFile",
    "ReadFile",
    "MatchingFiles",
    "SaveV2",
    "RestoreV2",
    "PrintV2",
    "DebugIdentity",
    "TextLineDataset",
    "PyFuncStateless",
)


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_saved_model_that_reaches_out_needs_trust(tf: Any, tmp_path: Path, operator: str) -> None:
    marker = tmp_path / "marker"
    without_signature(tf, tmp_path / "net", writing(tf, str(marker))[operator])
    marker.unlink(missing_ok=True)
    with pytest.raises(UntrustedCodeError, match="can do more than compute") as caught:
        run_here(entry("tensorflow", "net"), tmp_path, tmp_path / "ir")
    assert caught.value.found == operator
    assert "--trust-code" in str(caught.value.hint)
    assert not marker.exists()


def test_a_resource_that_is_initialised_when_it_is_loaded(tf: Any, tmp_path: Path) -> None:
    """What a table is filled from is a function that TensorFlow calls as it loads."""
    marker = tmp_path / "marker"
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    source = tf.lookup.TextFileInitializer(
        str(tmp_path / "words.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
    )  # fmt: skip
    table = tf.lookup.StaticHashTable(source, -1)
    without_signature(
        tf,
        tmp_path / "net",
        lambda x: x + tf.cast(table.lookup(tf.constant(["one"])), tf.float32),
        table=table,
    )
    with pytest.raises(UntrustedCodeError) as caught:
        run_here(entry("tensorflow", "net"), tmp_path, tmp_path / "ir")
    assert caught.value.found == "InitializeTableFromTextFileV2"
    assert not marker.exists()


def graph_of_2018(tf: Any, folder: Path, marker: Path, attack: str | None) -> None:
    """Save a graph with its session, as TensorFlow 1 did, and let loading it write the marker."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [1, 4], name="x")
        weights = v1.get_variable("w", initializer=np.eye(4, dtype=np.float32) * 3)
        y = tf.matmul(x, weights, name="y")
        write = tf.io.write_file(str(marker), "x", name="write")
        restore = tf.raw_ops.RestoreV2(
            prefix=str(marker), tensor_names=["w"], shape_and_slices=[""], dtypes=[tf.float32]
        )
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        init = {"init": write, "restore": restore[0].op}.get(str(attack))
        builder.add_meta_graph_and_variables(session, [], {"default": signature}, main_op=init)
        builder.save()
    path = folder / "saved_model.pb"
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (graph,) = model.meta_graphs
    if attack is None:  # neither is in a model that somebody saved
        graph.graph_def.node.remove(next(n for n in graph.graph_def.node if n.op == "WriteFile"))
        own = next(n for n in graph.graph_def.node if n.name == "RestoreV2")
        graph.graph_def.node.remove(own)
    if attack == "save":
        graph.saver_def.restore_op_name = graph.saver_def.save_tensor_name.partition(":")[0]
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("attack", ["init", "restore", "save"])
def test_a_graph_that_reaches_out_when_it_is_initialised(tf: Any, tmp_path: Path, attack: str) -> None:
    marker = tmp_path / "marker"
    graph_of_2018(tf, tmp_path / "net", marker, attack)
    found = operators_that_reach_out(tmp_path / "net")
    assert not marker.exists()
    assert {"init": "WriteFile", "restore": "RestoreV2", "save": "SaveV2"}[attack] in found
    if attack == "init":  # it is no idle fear
        tf.saved_model.load(str(tmp_path / "net"), tags=[])
        assert marker.exists()


def test_a_graph_with_nothing_but_its_saver_needs_no_trust(tf: Any, tmp_path: Path) -> None:
    graph_of_2018(tf, tmp_path / "net", tmp_path / "marker", None)
    assert operators_that_reach_out(tmp_path / "net") == []
    assert tf.saved_model.load(str(tmp_path / "net"), tags=[]).signatures


# --- archives of PyTorch under other names


@pytest.mark.parametrize(
    ("framework", "name"),
    [("onnx", "m.onnx"), ("tflite", "m.tflite"), ("paddle", "m.pdmodel"), ("tensorflow", "m.pb"),
     ("onnx", "m.pt2"), ("tensorflow", "m.meta")],
)  # fmt: skip
def test_a_pickle_under_another_name_is_not_loaded(tmp_path: Path, framework: str, name: str) -> None:
    """OpenVINO's converter looks into files itself, and loads what is an archive of PyTorch."""
    require_module("torch")
    marker = tmp_path / "marker"
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/archive_version", "0")
        archive.writestr("m/byteorder", "little")
        archive.writestr("m/.data/version", "3")
        for path in ("m/data/sample_inputs/model.pt", "m/data.pkl", "m/constants.pkl"):
            archive.writestr(path, pickle.dumps(Touch(marker)))
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", pickle.dumps(Touch(marker)))
    model = entry(framework, name, recipe={"model": name, "inputs": [{"name": "x", "shape": [1, 4]}]})
    with pytest.raises(ConversionError, match="is a ZIP archive"):
        run(model, tmp_path, tmp_path / "ir")
    assert not marker.exists()


# --- Keras


def keras_model(folder: Path, name: str) -> Path:
    import keras

    network = keras.Sequential([keras.layers.Input((4,), name="x"), keras.layers.Dense(2, name="dense")])
    network.save(folder / name)
    return folder / name


def change_config(path: Path, change: Any) -> None:
    """Change the configuration in a Keras file."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        members["config.json"] = json.dumps(change(config) or config).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return
    import h5py

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config) or config)


LAYERS = {
    "Lambda": {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l", "function": "x"}},
    "a lambda": {"class_name": "__lambda__", "config": {"value": ["x", None, None]}},
    "a class of Python": {"module": "os", "class_name": "system", "config": {"command": "touch marker"}},
    "a function of Python": {"module": "os", "class_name": "function", "config": "getcwd"},
    "an internal function": {
        "module": "keras.src.utils.file_utils",
        "class_name": "function",
        "config": "get_file",
    },
    "the switch of safe mode": {
        "module": "keras.config",
        "class_name": "enable_unsafe_deserialization",
        "config": {},
    },
    "a SavedModel": {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/x"}},
    "a module of torch": {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}},
    "an operation of TensorFlow": {"class_name": "TFOpLambda", "config": {"function": "io.write_file"}},
    "a vocabulary of this host": {
        "module": "keras.layers",
        "class_name": "StringLookup",
        "config": {"name": "v", "vocabulary": "/etc/passwd"},
    },
    "an unhashable name": {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
    "a type": {"module": "subprocess", "class_name": "__typespec__", "spec_name": "Popen", "config": []},
}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_keras_file_that_names_more_than_layers(tf: Any, tmp_path: Path, layer: str, suffix: str) -> None:
    path = keras_model(tmp_path, f"net.{suffix}")

    def add(config: dict[str, Any]) -> None:
        config["config"]["layers"].append(LAYERS[layer])

    change_config(path, add)
    with pytest.raises(UntrustedCodeError, match="more than Keras's own layers"):
        run_here(entry("keras", path.name), tmp_path, tmp_path / "ir")


def test_a_deep_keras_configuration_ends(tf: Any, tmp_path: Path) -> None:
    path = keras_model(tmp_path, "net.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", '{"a":' * 100_000)
    with pytest.raises(ConversionError, match=r"Keras cannot read net\.keras"):
        run_here(entry("keras", path.name), tmp_path, tmp_path / "ir")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("how", ["link", "external", "virtual"])
def test_keras_weights_are_not_taken_from_files_of_the_host(
    tf: Any, tmp_path: Path, suffix: str, how: str
) -> None:
    import h5py

    path = keras_model(tmp_path, f"net.{suffix}")
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = np.full((4, 2), 7, np.float32)
    target = path
    if suffix == "keras":
        target = tmp_path / "model.weights.h5"
        with zipfile.ZipFile(path) as archive:
            target.write_bytes(archive.read(target.name))
    with h5py.File(target, "r+") as file:
        found: list[str] = []
        file.visititems(
            lambda name, item: found.append(name) if getattr(item, "shape", 0) == (4, 2) else None
        )
        (name,) = found
        del file[name]
        if how == "link":
            file[name] = h5py.ExternalLink(str(secret), "/kernel")
        elif how == "external":
            file.create_dataset(name, (4, 2), np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        else:
            layout = h5py.VirtualLayout((4, 2), np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "kernel", (4, 2))
            file.create_virtual_dataset(name, layout)
    if suffix == "keras":
        with zipfile.ZipFile(path) as archive:
            members = {one: archive.read(one) for one in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for one, data in {**members, target.name: target.read_bytes()}.items():
                archive.writestr(one, data)
    with pytest.raises(ConversionError, match="takes weights from other files"):
        run_here(entry("keras", path.name), tmp_path, tmp_path / "ir", trust_code=True)


def test_keras_operations_and_usual_layers_need_no_trust(tf: Any, tmp_path: Path) -> None:
    import keras

    x = keras.Input((8, 8, 3), name="x")
    y = keras.layers.Conv2D(
        4, 3, kernel_initializer=keras.initializers.Constant(0.1), kernel_regularizer="l2"
    )(x)
    y = keras.layers.BatchNormalization()(keras.layers.ReLU()(y))
    y = keras.layers.Bidirectional(keras.layers.LSTM(3))(keras.layers.Reshape((36, 4))(y))
    y = keras.layers.Dense(2, activation=keras.activations.gelu, kernel_constraint="max_norm")(y)
    network = keras.Model(x, keras.ops.add(keras.ops.relu(y), 1.0)[:, :1])
    network.compile(loss=lambda a, b: a - b, optimizer="adam")
    network.save(tmp_path / "net.keras")
    keras_file.check(tmp_path / "net.keras", trusted=False)
    keras.Model(x, y).save(tmp_path / "net.h5")  # whose format knows no operations
    keras_file.check(tmp_path / "net.h5", trusted=False)
