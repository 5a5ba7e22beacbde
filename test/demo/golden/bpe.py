"""Writes bpe.json: what Hugging Face's own trainer learns from a text, and how it then cuts samples.

    python test/demo/golden/bpe.py        (tokenizers 0.23)
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = [
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
    "the whale's tail, the whales' tails; they'll say it's 1851 and we've 12345 barrels!",
    "Na\u00efve caf\u00e9s \u2603 and  two spaces,\n\nnew lines\tand tabs. It was the whale.",
    "Moby Dick; or, the whale. Call me Ishmael. Some years ago, never mind how long precisely, having little money.",
]
SAMPLES = ["It was a whale of a time.", " the caf\u00e9's 2024 \U0001f600", "two  spaces\n\n\nand<|endoftext|>more", ""]
SIZE = 290

tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
trainer = trainers.BpeTrainer(
    vocab_size=SIZE,
    min_frequency=2,
    special_tokens=["<|endoftext|>"],
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
)
tokenizer.train_from_iterator(TEXTS, trainer)
merges = json.loads(tokenizer.to_str())["model"]["merges"]
golden = {
    "texts": TEXTS,
    "size": SIZE,
    "merges": merges,
    "samples": [{"text": text, "ids": tokenizer.encode(text).ids} for text in SAMPLES],
}
path = Path(__file__).with_name("bpe.json")
path.write_text(json.dumps(golden, indent=1, ensure_ascii=True) + "\n")
