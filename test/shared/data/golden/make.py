"""Small tokenizers of the three families, and the ids that transformers gives them (see README.md beside this file)."""

import json
import pathlib
import shutil

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

here = pathlib.Path(__file__).parent
TRAINING = [
    "The film was bad and the story was terrible, but it was not a total waste.",
    "It was good. It was great! The actors don't care, we've seen 12 of these 345 times.",
    "A story about a boy and a girl who were happy and sad and good and bad.",
    "  spaces   and\nlines\n\nand tabs\t are text too",
] * 4
TEXTS = [
    "", " ", "  ", "a", " a", "a ", "\n\n", "It was bad", "hello  world", "don't I'LL we've", "1234567 3.14",
    "déjà vu naïve é", "🤖 中文字符", "x\u200by", "It was\n good <unk> and <|end|>, <s> and </s>.", "a <mask> b",
    "the story was great, wasn't it? " * 5,
]


def save(name, tokenizer, config):
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    loaded = AutoTokenizer.from_pretrained(folder)
    golden = [{"text": text, "ids": loaded(text)["input_ids"]} for text in TEXTS]
    (folder / "ids.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")


def byte_level(special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


gpt2 = byte_level(["<|end|>"])
gpt2.post_processor = processors.ByteLevel(trim_offsets=False)
save("gpt2", gpt2, {"tokenizer_class": "GPT2TokenizerFast", "bos_token": "<|end|>", "eos_token": "<|end|>", "unk_token": "<|end|>"})

roberta = byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
save("roberta", roberta, {"tokenizer_class": "RobertaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"})

for name, alphabet in {"llama": [f"<0x{byte:02X}>" for byte in range(256)], "llama-no-bytes": []}.items():
    llama = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    llama.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *alphabet]
    llama.train_from_iterator(TRAINING, trainers.BpeTrainer(vocab_size=len(special) + 80, special_tokens=special, show_progress=False))
    definition = json.loads(llama.to_str())
    definition["added_tokens"] = definition["added_tokens"][:3]
    llama = Tokenizer.from_str(json.dumps(definition))
    llama.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    llama.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    save(name, llama, {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": False, "add_bos_token": True})
