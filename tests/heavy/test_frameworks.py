"""Networks of PyTorch, TensorFlow, Keras and JAX: the IR computes what the framework does."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_zoo.errors import ConversionError, MissingExtraError, UnsupportedModelError, UntrustedCodeError
from tests.conversion import support
from tests.conversion.support import entry, run, run_here
from tests.tools import require_module

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

Member = Callable[[str, str], Path]
INPUTS = {"inputs": [{"name": "picture", "shape": [1, 3, 16, 16]}], "outputs": ["scores"]}
NET = textwrap.dedent(
    """
    import torch

    class Net(torch.nn.Module):
        def __init__(self, classes: int = 5) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
                torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, classes),
            )

        def forward(self, image):
            return self.body(image)
    """
)


@pytest.fixture(scope="module")
def torch() -> Any:
    require_module("torch")
    import torch

    return torch


@pytest.fixture
def net(torch: Any, tmp_path: Path) -> tuple[Path, Any]:
    """Return a folder with the code and the weights of a network, and the network."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    spec = importlib.util.spec_from_file_location("net_of_test", folder / "net.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    torch.manual_seed(7)
    network = module.Net().train()
    for _ in range(3):
        network(torch.rand(4, 3, 16, 16))  # running means that are not the initial ones
    torch.save(network.eval().state_dict(), folder / "net.pth")
    return folder, network


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape or (1, 3, 16, 16), np.float32)


def agrees(torch: Any, xml: Path, network: Any, inputs: np.ndarray, tolerance: float = 1e-5) -> None:
    with torch.no_grad():
        wanted = network(torch.from_numpy(inputs)).numpy()
    (got,) = support.infer(xml, inputs).values()
    np.testing.assert_allclose(got, wanted, atol=tolerance * max(1.0, float(np.abs(wanted).max())))


BUILDER = {"module": "net", "callable": "Net", "kwargs": {"classes": 5}, "weights": "net.pth", "paths": ["."]}


@pytest.mark.parametrize("dynamo", [False, True])
def test_builder_with_a_state_dict(
    torch: Any, net: tuple[Path, Any], tmp_path: Path, *, dynamo: bool
) -> None:
    folder, network = net
    model = entry("pytorch", "net.py", "net.pth", recipe={**INPUTS, "builder": BUILDER, "dynamo": dynamo})
    made = [run(model, folder, tmp_path / name, trust_code=True) for name in ("one", "two")]
    assert made[0]["outputs"] == made[1]["outputs"]
    assert made[0]["ports"] == {
        "inputs": [{"name": "picture", "shape": [1, 3, 16, 16], "type": "f32"}],
        "outputs": [{"name": "scores", "shape": [1, 5], "type": "f32"}],
    }
    assert set(made[0]["parts"]["versions"]) == {"openvino", "torch"}
    assert sorted(p.name for p in folder.iterdir()) == ["net.pth", "net.py"]
    agrees(torch, tmp_path / "one" / "model.xml", network, values())


def test_open_shapes_stay_open(torch: Any, net: tuple[Path, Any], tmp_path: Path) -> None:
    folder, network = net
    recipe = {"inputs": [{"name": "image", "shape": [-1, 3, "8..64", "8..64"]}], "builder": BUILDER}
    model = entry("pytorch", "net.py", "net.pth", recipe=recipe)
    ports = run(model, folder, tmp_path / "ir", trust_code=True)["ports"]
    assert ports["inputs"] == [{"name": "image", "shape": [-1, 3, "8..64", "8..64"], "type": "f32"}]
    agrees(torch, tmp_path / "ir" / "model.xml", network, values(2, 3, 20, 31))


def test_torchscript_and_exported_program(torch: Any, net: tuple[Path, Any], tmp_path: Path) -> None:
    _, network = net
    example = torch.rand(1, 3, 16, 16)
    torch.jit.trace(network, example).save(str(tmp_path / "net.jit"))
    torch.export.save(torch.export.export(network, (example,)), tmp_path / "net.pt2")
    for name in ("net.jit", "net.pt2"):
        model, trusted = entry("pytorch", name, recipe=INPUTS), name == "net.pt2"
        ports = run_here(model, tmp_path, tmp_path / name[4:], trust_code=trusted)["ports"]
        assert ports["inputs"][0]["name"] == "picture"
        assert ports["outputs"][0]["name"] == "scores"
        agrees(torch, tmp_path / name[4:] / "model.xml", network, values())


def test_torchscript_that_writes_a_file_when_it_is_loaded(torch: Any, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(
        textwrap.dedent(
            f"""
            import torch

            class Evil(torch.nn.Module):
                @torch.jit.export
                def __getstate__(self) -> tuple[int, bool]:
                    return (1, self.training)

                @torch.jit.export
                def __setstate__(self, state: tuple[int, bool]):
                    self.training = state[1]
                    torch.save([torch.ones(3)], {str(tmp_path / "marker")!r})

                def forward(self, x):
                    return x + 1
            """
        )
    )
    spec = importlib.util.spec_from_file_location("evil", tmp_path / "evil.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.jit.script(module.Evil()).save(str(tmp_path / "net.jit"))
    (tmp_path / "marker").unlink(missing_ok=True)
    with pytest.raises(UntrustedCodeError, match="can do more than compute") as caught:
        run_here(entry("pytorch", "net.jit", recipe=INPUTS), tmp_path, tmp_path / "ir")
    assert "save in net.jit/" in str(caught.value.found)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("wrap", ["plain", "wrapped", "module", "safetensors"])
def test_shapes_that_state_dicts_come_in(
    torch: Any, net: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: str
) -> None:
    folder, network = net
    state, name = network.state_dict(), "w.pth"
    if wrap == "safetensors":
        require_module("safetensors")
        from safetensors.torch import save_file

        name = "w.safetensors"
        save_file(state, folder / name)
    else:
        if wrap == "module":
            state = {f"module.{key}": value for key, value in state.items()}
        torch.save({"epoch": 3, "state_dict": state} if wrap == "wrapped" else state, folder / name)
    monkeypatch.syspath_prepend(str(folder))
    builder = {**BUILDER, "weights": name}
    model = entry("pytorch", "net.py", name, recipe={**INPUTS, "builder": builder})
    run_here(model, folder, tmp_path / "ir", trust_code=True)
    agrees(torch, tmp_path / "ir" / "model.xml", network, values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kwargs": {"classes": 6}}, "do not fit the network that the builder made"),
        ({"weights": "whole.pth"}, "Python objects, which could run code"),
        ({"weights": "list.pth"}, "contains a list, not named weights"),
        ({"weights": "gone.pth"}, "the model has no file 'gone.pth'"),
        ({"weights": None}, "2 of the model's files could be its weights"),
    ],
)
def test_weights_that_cannot_be_used(
    torch: Any, net: tuple[Path, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder, _ = net
    torch.save([1, 2], folder / "list.pth")
    (folder / "whole.pth").write_bytes(pickle.dumps(Path("x")))
    builder = {k: v for k, v in {**BUILDER, **change}.items() if v is not None}
    artifacts = ["net.py", "net.pth"] + (["list.pth"] if change.get("weights", "") is None else [])
    model = entry("pytorch", *artifacts, recipe={**INPUTS, "builder": builder})
    with pytest.raises(ConversionError, match=message) as caught:
        run_here(model, folder, tmp_path / "ir", trust_code=True)
    assert caught.value.exit_code == 7


def test_weights_without_a_builder_ask_for_one(net: tuple[Path, Any], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"net\.pth is not TorchScript") as caught:
        run(entry("pytorch", "net.pth", recipe=INPUTS), net[0], tmp_path / "ir")
    assert "recipe.builder" in str(caught.value.hint)


@pytest.mark.wheels
def test_torchscript_that_openvino_cannot_convert(torch: Any, wheel_member: Member, tmp_path: Path) -> None:
    folder = wheel_member("silero-vad==6.2.3", "silero_vad/data")
    inputs = [{"name": "x", "shape": [1, 512]}, {"name": "sr", "type": "i64"}]
    recipe = {"inputs": inputs, "example": {"sr": 16000}}
    with pytest.raises(UnsupportedModelError, match="OpenVINO cannot convert this model"):
        run(entry("pytorch", "silero_vad.jit", recipe=recipe), folder, tmp_path / "ir")


def test_torchvision_builder_beside_any_build_of_torch(torch: Any, tmp_path: Path) -> None:
    require_module("torchvision")
    from model_zoo.conversion.worker.torchvision import import_torchvision

    torch.manual_seed(3)
    network = import_torchvision().models.get_model("mobilenet_v3_small", weights=None, num_classes=7).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    recipe = {
        "inputs": [{"name": "image", "shape": [1, 3, 64, 64], "layout": "NCHW", "type": "u8", "mean": 127.5}],
        "builder": {"torchvision": "mobilenet_v3_small", "kwargs": {"num_classes": 7}},
    }
    manifest = run(entry("pytorch", "weights.pth", recipe=recipe), tmp_path, tmp_path / "ir")
    assert manifest["ports"]["inputs"] == [{"name": "image", "shape": [1, 3, 64, 64], "type": "u8"}]
    assert set(manifest["parts"]["versions"]) == {"openvino", "torch", "torchvision"}
    picture = np.random.default_rng(2).integers(0, 256, (1, 3, 64, 64)).astype(np.uint8)
    with torch.no_grad():
        wanted = network(torch.from_numpy(picture).float() - 127.5).numpy()
    (got,) = support.infer(tmp_path / "ir" / "model.xml", picture).values()
    np.testing.assert_allclose(got, wanted, atol=1e-4 * float(np.abs(wanted).max()))


def test_torchvision_has_no_such_model(torch: Any, tmp_path: Path) -> None:
    require_module("torchvision")
    recipe = {**INPUTS, "builder": {"torchvision": "resnet9000"}}
    with pytest.raises(ConversionError, match="torchvision has no model 'resnet9000'"):
        run_here(entry("pytorch", "w.pth", recipe=recipe), tmp_path, tmp_path / "ir")


def test_torchvision_operators_that_this_build_lacks(torch: Any, tmp_path: Path) -> None:
    require_module("torchvision")
    from model_zoo.conversion.worker.torchvision import import_torchvision

    if import_torchvision().extension._has_ops():
        pytest.skip("this build of torchvision has all its operators")
    kwargs = {"weights_backbone": None, "num_classes": 3}
    recipe = {
        "inputs": [{"name": "images", "shape": [1, 3, 64, 64]}],
        "builder": {"torchvision": "ssdlite320_mobilenet_v3_large", "kwargs": kwargs},
    }
    artifacts = [{"path": "notes.txt"}]
    with pytest.raises((UnsupportedModelError, ConversionError)) as caught:
        run(entry("pytorch", artifacts=artifacts, recipe=recipe), tmp_path, tmp_path / "ir")
    assert "compiled operators" in str(caught.value), caught.value.found


# --- TensorFlow and Keras


@pytest.fixture(scope="module")
def tf() -> Any:
    require_module("tensorflow")
    import tensorflow as tf

    return tf


def test_saved_model_without_a_signature_needs_tensorflow(tf: Any, tmp_path: Path) -> None:
    class Scorer(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(np.random.default_rng(0).random((4, 3), np.float32))

        @tf.function(autograph=False)
        def __call__(self, x: Any) -> Any:
            return tf.nn.softmax(tf.matmul(x, self.weights))

    scorer = Scorer()
    scorer.__call__.get_concrete_function(tf.TensorSpec([None, 4], tf.float32, name="x"))
    tf.saved_model.save(scorer, str(tmp_path / "bare"))
    recipe = {"inputs": [{"name": "vector", "shape": [-1, 4]}], "outputs": ["scores"]}
    run(entry("tensorflow", "bare", recipe=recipe), tmp_path, tmp_path / "ir")
    inputs = values(2, 4)
    results = support.infer(tmp_path / "ir" / "model.xml", inputs)
    np.testing.assert_allclose(results["scores"], scorer(inputs).numpy(), atol=1e-6)


def test_saved_model_without_anything_to_call(tf: Any, tmp_path: Path) -> None:
    empty = tf.Module()
    empty.number = tf.Variable(1.0)
    tf.saved_model.save(empty, str(tmp_path / "empty"))
    with pytest.raises(ConversionError, match="neither a signature nor a traced function"):
        run_here(entry("tensorflow", "empty"), tmp_path, tmp_path / "ir")


def test_saved_model_without_a_signature_where_tensorflow_is_missing(
    tf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    empty = tf.Module()
    empty.number = tf.Variable(1.0)
    tf.saved_model.save(empty, str(tmp_path / "empty"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match="without a serving signature"):
        run_here(entry("tensorflow", "empty"), tmp_path, tmp_path / "ir")


def test_frozen_graph_and_meta_graph_with_checkpoint(tf: Any, tmp_path: Path) -> None:
    inputs = values(1, 4)
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, [1, 4], name="x")
        weights = v1.get_variable("w", initializer=np.eye(4, dtype=np.float32) * 3, use_resource=False)
        inner = tf.matmul(x, weights, name="inner")
        tf.nn.softmax(inner, name="y")
        session.run(v1.global_variables_initializer())
        wanted = session.run("y:0", {"x:0": inputs})
        v1.train.Saver().save(session, str(tmp_path / "ckpt"))
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["y"])
    (tmp_path / "frozen.pb").write_bytes(frozen.SerializeToString())
    names = ("frozen.pb", "ckpt.meta")
    for name in names:
        run_here(entry("tensorflow", name, recipe={"outputs": ["y"]}), tmp_path, tmp_path / name[:4])
        got = support.infer(tmp_path / name[:4] / "model.xml", inputs)["y"]
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    run_here(entry("tensorflow", "frozen.pb", recipe={"outputs": ["inner"]}), tmp_path, tmp_path / "cut")
    np.testing.assert_allclose(
        support.infer(tmp_path / "cut" / "model.xml", inputs)["inner"], 3 * inputs, atol=1e-5
    )


@pytest.mark.wheels
def test_saved_model_of_a_wheel_computes_what_tensorflow_does(
    tf: Any, wheel_member: Member, tmp_path: Path
) -> None:
    folder = wheel_member("basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022")
    run(entry("tensorflow", "nmp"), folder, tmp_path / "ir")
    sound = values(1, 43844, 1) - 0.5
    wanted = tf.saved_model.load(str(folder / "nmp")).signatures["serving_default"](tf.constant(sound))
    got = support.infer(tmp_path / "ir" / "model.xml", sound)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value.numpy(), atol=1e-3)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_keras_file(tf: Any, tmp_path: Path, suffix: str) -> None:
    import keras

    keras.utils.set_random_seed(1)
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 3), name="picture"),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )
    network.save(tmp_path / f"net.{suffix}")
    recipe = {"inputs": [{"name": "picture", "shape": [1, 8, 8, 3]}], "outputs": ["scores"]}
    model = entry("keras", f"net.{suffix}", recipe=recipe)
    manifest = run_here(model, tmp_path, tmp_path / "ir")
    assert manifest["ports"]["inputs"] == [{"name": "picture", "shape": [1, 8, 8, 3], "type": "f32"}]
    inputs = values(1, 8, 8, 3)
    got = support.infer(tmp_path / "ir" / "model.xml", inputs)["scores"]
    np.testing.assert_allclose(got, network(inputs, training=False).numpy(), atol=1e-5)


def test_keras_file_that_is_none(tf: Any, tmp_path: Path) -> None:
    (tmp_path / "net.keras").write_bytes(b"nothing")
    with pytest.raises(ConversionError, match=r"Keras cannot read net\.keras"):
        run_here(entry("keras", "net.keras"), tmp_path, tmp_path / "ir")


# --- JAX


def test_jax_function_of_a_builder(tmp_path: Path) -> None:
    require_module("jax")
    folder = tmp_path / "files"
    folder.mkdir()
    np.savez(folder / "weights.npz", w=values(4, 3), b=values(3))
    (folder / "net.py").write_text(
        textwrap.dedent(
            """
            import jax.numpy as jnp
            import numpy as np

            def make(weights, scale):
                arrays = dict(np.load(weights))
                return lambda x: jnp.tanh(x @ arrays["w"] + arrays["b"]) * scale
            """
        )
    )
    builder = {
        "module": "net",
        "callable": "make",
        "kwargs": {"scale": 2.0},
        "weights": "weights.npz",
        "paths": ["."],
    }
    recipe = {"builder": builder, "inputs": [{"name": "x", "shape": [2, 4]}], "outputs": ["y"]}
    model = entry("jax", "net.py", "weights.npz", recipe=recipe)
    made = [run(model, folder, tmp_path / name, trust_code=True)["outputs"] for name in ("one", "two")]
    assert made[0] == made[1]
    inputs = values(2, 4)
    weights = np.load(folder / "weights.npz")
    wanted = np.tanh(inputs @ weights["w"] + weights["b"]) * 2
    np.testing.assert_allclose(support.infer(tmp_path / "one" / "model.xml", inputs)["y"], wanted, atol=1e-6)
