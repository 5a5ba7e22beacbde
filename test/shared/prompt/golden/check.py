"""Loads an adapter folder that softpost wrote with real PEFT, strictly (see README.md beside this file)."""

import json
import pathlib
import sys
import warnings

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file

folder = pathlib.Path(sys.argv[1])
warnings.simplefilter("error")
model = transformers.GPT2LMHeadModel(
    transformers.GPT2Config(vocab_size=13, n_positions=16, n_embd=8, n_layer=1, n_head=2)
)
adapted = PeftModel.from_pretrained(model, folder)
ours = load_file(folder / "adapter_model.safetensors")
assert list(ours) == ["prompt_embeddings"]
loaded = adapted.prompt_encoder["default"].embedding.weight
assert torch.equal(loaded.view(torch.int32), ours["prompt_embeddings"].view(torch.int32))
logits = adapted(input_ids=torch.tensor([[1, 2, 3]])).logits
assert logits.shape == (1, 5 + 3, 13), logits.shape
print(json.dumps({"loaded": list(loaded.shape)}))
