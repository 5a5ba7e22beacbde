"""Small tokenizers of every family, and the ids that transformers gives them (see README.md beside this file)."""

import hashlib
import json
import pathlib
import shutil

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

here = pathlib.Path(__file__).parent
TRAINING = [
    "The film was bad and the story was terrible, but it was not a total waste.",
    "It was good. It was great! The actors don't care, we've seen 12 of these 345 times.",
    "A story about a boy and a girl who were happy and sad and good and bad.",
    "In 1234 and 1234, 345 345 12 12 films were bad, 2024 2024 good.",
    "  spaces   and\nlines\n\nand tabs\t are text too",
] * 4
TEXTS = [
    "", " ", "  ", "a", " a", "a ", "   a   b", "\n\n", "\n \n\t\ta", "It was bad", "hello  world", "\tIt was\r\nbad\r",
    "don't I'LL we've DON'T 'tis", "1234567 3.14 12a34 1\u00b2\u2167\u0664\u0665", "HELLO World McDonald iOS",
    "déjà vu naïve é", "de\u0301ja\u0300 vu nai\u0308ve", "\u1e9b\u0323 \ufb01ne \uff21\u2075 \u0130i", "a\u0301\u0323\u0300b \u0301",
    "🤖 中文字符", "日本語のテキスト 한국어", "👩‍👩‍👧‍👦 👍🏽 🇩🇪 a👍b", "مرحبا بالعالم שלום עולם", "हिन्दी ไทย",
    "x\u200by\u200ez\ufeff\u00ada", "a\u00a0b\u2003c\u3000d", "\x00a\x01\x7f\x85b\x1f", "\ufffd \U00010348 \ue000",
    "... --- !!! ?! (a) [b] {c} a_b a-b @#$%", "https://example.org/a?b=c&d=1", "▁a ▁▁b Ġa Ċ ##a",
    "It was\n good <unk> and <|end|>, <s> and </s>.", "a <mask> b<mask>c", "a [MASK] b[SEP] [CLS][UNK]c", "<s>a</s> b", " <s> ",
    "<|end|><|end|> a <|end|>\n", "< s > <0x41> <unk", "the story was great, wasn't it? " * 5,
]
# Long ones are stored by their digest only.
LONG = [("a", 10_000), ("bad", 3_500), ("中", 3_000), (" ", 1_000), ("the film was bad ", 300), ("é🤖", 1_000)]


def digest(ids):
    return {"count": len(ids), "sha256": hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()}


def save(name, tokenizer, config, model_type):
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}) + "\n")
    loaded = AutoTokenizer.from_pretrained(folder)
    print(name, type(loaded).__name__)
    encode = lambda text: loaded(text)["input_ids"]
    golden = [{"text": text, "ids": encode(text)} for text in TEXTS]
    golden += [{"text": text, "times": times, **digest(encode(text * times))} for text, times in LONG]
    rows = ",\n".join(json.dumps(row) for row in golden)
    (folder / "ids.json").write_text(f"[\n{rows}\n]\n")


BYTES = pre_tokenizers.ByteLevel.alphabet()


def byte_level(special, pre_tokenizer=None, normalizer=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=BYTES, show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def split(pattern):
    byte_pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior="isolated"), byte_pieces])


END = {"bos_token": "<|end|>", "eos_token": "<|end|>", "unk_token": "<|end|>"}
gpt2 = byte_level(["<|end|>"])
gpt2.post_processor = processors.ByteLevel(trim_offsets=False)
save("gpt2", gpt2, {"tokenizer_class": "GPT2TokenizerFast", **END}, "gpt2")

# As SmolLM's: the class is GPT-2's, the file splits numbers into digits.
digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
save("smollm", byte_level(["<|end|>"], digits), {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, **END}, "llama")

roberta = byte_level(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
roberta.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
save("roberta", roberta, {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False, **names}, "roberta")

for name, lower in {"bert": True, "bert-cased": False}.items():
    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer = normalizers.BertNormalizer(lowercase=lower)
    bert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bert.train_from_iterator([*TRAINING, "é 中 x1 🤖"], trainers.WordPieceTrainer(vocab_size=230, special_tokens=special, show_progress=False))
    bert.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    save(name, bert, {"tokenizer_class": "BertTokenizer", "do_lower_case": lower, **names}, "bert")

QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
qwen = byte_level(["<|end|>"], split(QWEN), normalizers.NFC())
qwen.post_processor = processors.ByteLevel(trim_offsets=False)
save("qwen2", qwen, {"tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": False, "bos_token": None, "eos_token": "<|end|>", "pad_token": "<|end|>", "unk_token": None}, "qwen2")

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
llama3 = byte_level(["<|begin|>", "<|end|>"], split(LLAMA3))
definition = json.loads(llama3.to_str())
definition["model"]["ignore_merges"] = True
# A token that the merges don't lead to: only `ignore_merges` gives it.
definition["model"]["vocab"]["Ġterrific"] = len(definition["model"]["vocab"])
llama3 = Tokenizer.from_str(json.dumps(definition))
begin = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
llama3.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), begin])
TEXTS.append("a terrific terrifics film")
save("llama3", llama3, {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>"}, "llama")
TEXTS.pop()


def sentence_piece(alphabet):
    llama = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    llama.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *alphabet]
    trainer = trainers.BpeTrainer(vocab_size=len(special) + 80, special_tokens=special, show_progress=False)
    llama.train_from_iterator(TRAINING, trainer)
    definition = json.loads(llama.to_str())
    definition["added_tokens"] = definition["added_tokens"][:3]
    llama = Tokenizer.from_str(json.dumps(definition))
    llama.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    llama.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return llama


LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]
for name, alphabet, more, model_type in [
    ("llama", BYTE_TOKENS, {"legacy": False, "add_bos_token": True, "add_eos_token": False}, "llama"),
    ("llama-no-bytes", [], {"legacy": False, "add_bos_token": True}, "llama"),
    ("llama-legacy", BYTE_TOKENS, {"legacy": True}, "llama"),
    ("llama-no-prefix", BYTE_TOKENS, {"add_prefix_space": False, "add_bos_token": False, "add_eos_token": True}, "llama"),
    # As Mistral's: transformers takes the file as it is, though the class is Llama's.
    ("mistral", BYTE_TOKENS, {"legacy": True, "add_bos_token": True}, "mistral"),
]:
    save(name, sentence_piece(alphabet), {**LLAMA, **more}, model_type)
