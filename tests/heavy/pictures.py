"""Writes a tiny classifier of timm and a tiny pipeline of diffusers; runs in a converter environment.

Arguments: this repository, and an empty folder. Imports nothing of the package's own environment.
"""

import json
import sys
import types
from pathlib import Path

root, folder = sys.argv[1], Path(sys.argv[2])
for name in ("model_zoo", "model_zoo.conversion", "model_zoo.conversion.worker"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [f"{root}/{name.replace('.', '/')}"]
from model_zoo.conversion.worker.torchvision import make_importable  # noqa: E402

make_importable()
import diffusers  # noqa: E402
import numpy as np  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from timm.models import save_for_hf  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # noqa: E402

torch.manual_seed(7)
network = timm.create_model("resnet10t", pretrained=False, num_classes=10)
save_for_hf(network, folder / "timm", safe_serialization=True)
picture = np.random.default_rng(0).random((1, 3, 176, 176), np.float32)
with torch.no_grad():
    truth = network.eval()(torch.from_numpy(picture)).numpy()
np.savez(folder / "truth.npz", picture=picture, truth=truth)

blocks = {"block_out_channels": (32, 64), "norm_num_groups": 8}
unet = diffusers.UNet2DConditionModel(
    layers_per_block=1, sample_size=8, in_channels=4, out_channels=4, cross_attention_dim=32,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **blocks,
)  # fmt: skip
vae = diffusers.AutoencoderKL(
    in_channels=3, out_channels=3, latent_channels=4, down_block_types=["DownEncoderBlock2D"] * 2,
    up_block_types=["UpDecoderBlock2D"] * 2, **blocks,
)  # fmt: skip
words = Tokenizer(models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
special = ["<|startoftext|>", "<|endoftext|>"]
words.train_from_iterator(
    ["a picture of a zoo"], trainers.BpeTrainer(special_tokens=special, end_of_word_suffix="</w>")
)
merges = [tuple(pair) for pair in json.loads(words.to_str())["model"]["merges"]]
text = transformers.CLIPTextConfig(
    hidden_size=32, intermediate_size=37, num_hidden_layers=1, num_attention_heads=4, vocab_size=100,
    bos_token_id=0, eos_token_id=1, pad_token_id=1,
)  # fmt: skip
diffusers.StableDiffusionPipeline(
    vae=vae, unet=unet, text_encoder=transformers.CLIPTextModel(text), scheduler=diffusers.DDIMScheduler(),
    tokenizer=transformers.CLIPTokenizer(vocab=words.get_vocab(), merges=merges, model_max_length=77),
    safety_checker=None, feature_extractor=None, requires_safety_checker=False,
).save_pretrained(folder / "draw")  # fmt: skip
