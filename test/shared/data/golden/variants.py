"""Random variants of the tokenizers here, and what transformers makes of them (see README.md beside this file).

    python variants.py COUNT SEED                the rows that differ in kind, as variants.json
    python variants.py COUNT SEED FOLDER         every variant as a model folder, with expected.json, for a wider comparison
"""

import hashlib
import json
import pathlib
import random
import shutil
import sys
import tempfile

import transformers
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()
here = pathlib.Path(__file__).parent
BASES = sorted(folder.name for folder in here.iterdir() if (folder / "tokenizer.json").exists())
TEXTS = [
    "It was bad, HELLO World. don't I'LL", "hello  world \n\n\ttab ", "a <mask> b[MASK] c", "good <unk> <|end|> <s>x</s> [SEP] [UNK]",
    "déjà vu Ärger-film İ ﬁne ½ ß", "привет мир 中文日本 12 345", "", " ", "x <x>y<y>  z <x> ", "covid-19 xCOVID-19 Covid-19.", "<extra>it <extra> bad",
    "snake_case café_x ``q''", "\u00a0x\u2003y 🤖👍🏽", "▁a ▁b Ġc ##d",
]
CLASSES = ["PreTrainedTokenizerFast", "TokenizersBackend", "LlamaTokenizer", "LlamaTokenizerFast", "GPT2Tokenizer", "GPT2TokenizerFast", "Qwen2Tokenizer",
           "Qwen2TokenizerFast", "BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "RobertaTokenizer", "RobertaTokenizerFast", "BartTokenizer",
           "XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "GPTNeoXTokenizer", "GPTNeoXTokenizerFast", "PreTrainedTokenizer", "NoSuchTokenizer",
           "CodeLlamaTokenizer", "GemmaTokenizer"]
TYPES = ["gpt2", "llama", "mistral", "qwen2", "qwen3", "smollm3", "roberta", "xlm-roberta", "bert"]


def maybe(random, chance):
    return random.random() < chance


def token(random, content, typed=False):
    flags = {name: maybe(random, 0.3) for name in ["lstrip", "rstrip", "single_word", "normalized", "special"]}
    if maybe(random, 0.2):
        flags.pop("normalized")
    return {"content": content, **flags, **({"__type": "AddedToken"} if typed else {})}


def flags(random, config):
    """Fields that change ids in some class, and must not in the others."""
    choices = {
        "add_prefix_space": [True, False, False, None], "legacy": [True, False, None], "do_lower_case": [True, False], "strip_accents": [True, False, None],
        "tokenize_chinese_chars": [True, False], "add_bos_token": [True, False], "add_eos_token": [True, False], "trim_offsets": [True, False],
        "clean_up_tokenization_spaces": [True, False], "model_max_length": [5], "padding_side": ["left"], "errors": ["replace"], "use_fast": [True, False],
        "spaces_between_special_tokens": [True], "never_split": [["bad"]], "do_basic_tokenize": [False], "fix_mistral_regex": [True, False],
        "from_slow": [True], "sp_model_kwargs": [{}],
    }
    for name, values in choices.items():
        if maybe(random, 0.2):
            config[name] = random.choice(values)


def tokens(random, config, files):
    names = [name for name in config if name.endswith("_token") and not name.startswith("add_")]
    for name in names:
        if maybe(random, 0.1):
            config.pop(name)
        elif maybe(random, 0.06):
            config[name] = None
        elif maybe(random, 0.15) and config[name]:
            config[name] = token(random, config[name], typed=True)
    some = ["<extra>", "<x>", "<y>", "covid-19", "good", "it", "é", "<X y>", "bad", " it "]
    pick = lambda: random.sample(some, random.randint(1, 3))
    if maybe(random, 0.15):
        config[random.choice(["additional_special_tokens", "extra_special_tokens"])] = [
            text if maybe(random, 0.6) else token(random, text, typed=True) for text in pick()]
    if maybe(random, 0.06):
        config["extra_special_tokens"] = {f"{name}_token": name for name in pick()}
    if maybe(random, 0.08):
        config["image_token"] = random.choice(some)
    if maybe(random, 0.08):
        config["mask_token"] = random.choice(some)
    if maybe(random, 0.25):
        ids = random.sample(range(0, 420), 3)
        file = {t["content"]: t for t in files["tokenizer.json"]["added_tokens"]}
        listed = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in file.values()} if maybe(random, 0.7) else {}
        config["added_tokens_decoder"] = {**listed, **{str(i): token(random, text) for i, text in zip(ids, pick())}}
    if maybe(random, 0.15):
        files["added_tokens.json"] = {text: random.randint(0, 400) for text in pick()}
    if maybe(random, 0.2):
        names = [name for name in config if name.endswith("_token") and isinstance(config[name], str)]
        chosen = random.sample(names, min(2, len(names)))
        values = {name: random.choice([config[name], token(random, config[name]), random.choice(some)]) for name in chosen}
        if maybe(random, 0.3):
            values["additional_special_tokens"] = pick()
        files["special_tokens_map.json"] = values


def definition(random, file):
    added = file["added_tokens"]
    if maybe(random, 0.3):
        for text in random.sample(["<extra>", "<x>", "<y>", "covid-19", "good", "it", "é"], 2):
            plain = token(random, text)
            plain.setdefault("normalized", not plain["special"])
            added.append({"id": len(file["model"]["vocab"]) + len(added), **plain})
    if maybe(random, 0.15) and added:
        random.choice(added)[random.choice(["lstrip", "rstrip", "normalized", "single_word"])] = True
    if maybe(random, 0.1):
        file["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    if maybe(random, 0.1):
        file["padding"] = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0, "pad_token": "x"}
    if maybe(random, 0.1):
        file["post_processor"] = None
    if "merges" in file["model"] and maybe(random, 0.15):
        file["model"]["merges"] = [merge if isinstance(merge, str) else " ".join(merge) for merge in file["model"]["merges"]]
    if "merges" in file["model"] and maybe(random, 0.1):
        file["model"][random.choice(["ignore_merges", "fuse_unk", "byte_fallback"])] = True
    if maybe(random, 0.3):
        steps = [{"type": "NFD"}, {"type": "NFKC"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True},
                 {"type": "Replace", "pattern": {"String": "a"}, "content": "o"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "},
                 {"type": "Prepend", "prepend": "▁"}, {"type": "Nmt"}, {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                 "strip_accents": None, "lowercase": maybe(random, 0.5)}]
        file["normalizer"] = {"type": "Sequence", "normalizers": random.sample(steps, random.randint(1, 3))}
    if maybe(random, 0.25):
        behaviour = random.choice(["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"])
        pattern = random.choice([{"String": " "}, {"Regex": "\\s+"}, {"Regex": "[aeiou]"}, {"Regex": "\\w+|[^\\w\\s]+"}, {"Regex": "(?<=a)b|\\p{Han}"}])
        step = random.choice([
            {"type": "Split", "pattern": pattern, "behavior": behaviour, "invert": maybe(random, 0.3)}, {"type": "Whitespace"}, {"type": "WhitespaceSplit"},
            {"type": "BertPreTokenizer"}, {"type": "Digits", "individual_digits": maybe(random, 0.5)}, {"type": "Punctuation", "behavior": behaviour},
            {"type": "CharDelimiterSplit", "delimiter": "-"}, {"type": "UnicodeScripts"}, {"type": "FixedLength", "length": 3},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": random.choice(["first", "always", "never"]), "split": maybe(random, 0.5)}])
        before = file["pre_tokenizer"]
        file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [step, before]} if before and maybe(random, 0.7) else step


def variant(random):
    base = random.choice(BASES)
    files = {name: json.loads((here / base / name).read_text()) for name in ["tokenizer.json", "tokenizer_config.json", "config.json"]}
    config = files["tokenizer_config.json"]
    if maybe(random, 0.4):
        files["config.json"]["model_type"] = random.choice(TYPES)
    if maybe(random, 0.1):
        files["config.json"]["tokenizer_class"] = random.choice(CLASSES)
    if maybe(random, 0.15):
        config.pop("tokenizer_class", None)
    elif maybe(random, 0.4):
        config["tokenizer_class"] = random.choice(CLASSES)
    flags(random, config)
    definition(random, files["tokenizer.json"])
    tokens(random, config, files)
    return base, files


def write(folder, files):
    folder.mkdir(parents=True)
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))


def expected(folder):
    """What transformers gives, or the kind of its error."""
    try:
        loaded = AutoTokenizer.from_pretrained(folder)
        ids = [loaded(text)["input_ids"] for text in TEXTS]
        decode = lambda row: [loaded.decode(row), loaded.decode(row, skip_special_tokens=True)]
        return {"class": type(loaded).__name__, "ids": ids, "decoded": [decode(row) for row in ids]}
    except BaseException as error:
        return {"error": type(error).__name__ + ": " + str(error)[:200]}


def changes(before, after, path=()):
    """The places where two JSON values differ, with what is there afterwards; a place that is gone has no value."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            if key not in after:
                yield [*path, key],
            else:
                yield from changes(before.get(key, KeyError), after[key], (*path, key))
    elif before != after:
        yield [*path], after


def digest(value):
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def main(count, seed, target=None):
    kinds = random.Random(seed)
    rows, seen = [], set()
    for number in range(count):
        base, files = variant(kinds)
        folder = pathlib.Path(target or tempfile.mkdtemp()) / f"{number:05}-{base}"
        write(folder, files)
        result = expected(folder)
        if target:
            (folder / "expected.json").write_text(json.dumps(result))
            continue
        shutil.rmtree(folder.parent)
        originals = {name: json.loads((here / base / name).read_text()) for name in ["tokenizer.json", "tokenizer_config.json", "config.json"]}
        if "error" in result:
            continue
        row = {"base": base, "changes": list(changes(originals, files)), "class": result["class"]}
        row |= {name: digest(result[name]) for name in ["ids", "decoded"]}
        kind = (base, row["ids"], row["decoded"])
        if kind not in seen:
            rows.append(row)
        seen.add(kind)
    if target:
        (pathlib.Path(target) / "texts.json").write_text(json.dumps(TEXTS))
    else:
        lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
        (here / "variants.json").write_text(f'{{"texts":{json.dumps(TEXTS)},"rows":[\n{lines}\n]}}\n')


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
