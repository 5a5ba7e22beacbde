"""What transformers (5.18) makes of the fields of a config.json that say which layers have a sliding window: python sliding_windows.py"""

import json

from transformers import MistralConfig, Qwen2Config, Qwen3Config, SmolLM3Config
from transformers.models.llama.configuration_llama import LlamaConfig

CLASSES = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config, "qwen3": Qwen3Config, "smollm3": SmolLM3Config}
SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 50}
MIXED = ["full_attention", "sliding_attention", "full_attention", "sliding_attention"]
FIELDS = [
    {},
    {"use_sliding_window": True},
    {"use_sliding_window": True, "max_window_layers": 4},
    {"use_sliding_window": True, "max_window_layers": 99},
    {"use_sliding_window": True, "max_window_layers": 3},
    {"use_sliding_window": True, "max_window_layers": 0, "sliding_window": 8},
    {"use_sliding_window": True, "max_window_layers": 0, "sliding_window": None},
    {"use_sliding_window": False, "max_window_layers": 0, "sliding_window": 8},
    {"use_sliding_window": True, "max_window_layers": 4, "sliding_window": 8, "layer_types": MIXED},
    {"use_sliding_window": True, "max_window_layers": 0, "sliding_window": 8, "layer_types": ["full_attention"] * 4},
    {"sliding_window": 8},
    {"use_sliding_window": True, "sliding_window": 8, "no_rope_layers": [1, 1, 1, 1]},
    {"use_sliding_window": True, "sliding_window": 8, "no_rope_layers": [1, 0, 1, 1]},
]

cases = []
for name, make in CLASSES.items():
    for fields in FIELDS:
        given = {"model_type": name, "num_hidden_layers": 4, "max_position_embeddings": 10000, **SIZES, **fields}
        config = make(**{key: value for key, value in given.items() if key != "model_type"})
        window = getattr(config, "sliding_window", None)
        if name == "llama":
            types = ["full_attention"] * 4
        elif name == "mistral":  # its model asks for the window alone
            types = ["full_attention" if window is None else "sliding_attention"] * 4
        else:
            types = config.layer_types
        slides = "sliding_attention" in types and window is not None
        cases.append({"json": given, "window": window if slides else None})
with open("sliding_windows.json", "w") as file:
    json.dump(cases, file, indent=1)
    file.write("\n")
