"""A tiny Llama-like and a tiny BERT-like model of transformers, with tokenizers trained here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_zoo.conversion.worker.torchvision import make_importable
from tests.folders import contents

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "Pack my box with five dozen liquor jugs.",
    "A model zoo keeps many models, and each of them has a keeper.",
    "How vexingly quick daft zebras jump!",
]
SEED = 7


def libraries() -> Any:
    """Return transformers, imported beside whatever build of torchvision there is."""
    make_importable()
    import transformers

    return transformers


def make_llama(folder: Path) -> dict[str, bytes]:
    """Write a decoder of 0.5 million random weights, bytes as tokens; return the files by their names."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    lib = libraries()
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    alphabet, special = pre_tokenizers.ByteLevel.alphabet(), ["<s>", "</s>", "<pad>"]
    trainer = trainers.BpeTrainer(vocab_size=384, special_tokens=special, initial_alphabet=alphabet)
    words.train_from_iterator(TEXTS, trainer)
    tokenizer = lib.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    torch.manual_seed(SEED)
    config = lib.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.2,
        bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    lib.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return contents(folder)


def make_bert(folder: Path) -> dict[str, bytes]:
    """Write an encoder of 0.1 million random weights, with word pieces; return the files by their names."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    lib = libraries()
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=256, special_tokens=special))
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer = lib.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
    )  # fmt: skip
    torch.manual_seed(SEED)
    config = lib.BertConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, initializer_range=0.2, num_labels=3,
    )  # fmt: skip
    lib.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return contents(folder)
