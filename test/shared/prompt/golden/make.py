"""Golden adapter folders, written by real PEFT (see README.md beside this file)."""

import hashlib
import json
import pathlib

import peft
import torch
import transformers
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import save_file

here = pathlib.Path(__file__).parent
model_config = transformers.GPT2Config(vocab_size=13, n_positions=16, n_embd=8, n_layer=1, n_head=2)
model_config.bos_token_id = model_config.eos_token_id = 0

for dtype in ("float32", "float16", "bfloat16"):
    torch.manual_seed(7)
    model = transformers.GPT2LMHeadModel(model_config)
    model.name_or_path = "tiny-gpt2"
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    adapted = get_peft_model(model, config)
    adapted.prompt_encoder.to(getattr(torch, dtype))
    with torch.no_grad():
        weight = adapted.prompt_encoder["default"].embedding.weight
        weight[0, :6] = torch.tensor([0.0, -0.0, 1.0, -2.5, 6e-8, 65504.0]).to(weight.dtype)
    folder = here / f"peft-0.21-{dtype}"
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink()
    values = weight.detach().float().flatten().tolist()
    (folder / "values.json").write_text(json.dumps(values) + "\n")

# What the reference implementation writes for several tensors, in its order and with its padding.
tensors = {
    "z": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.weight": torch.tensor([[0.5], [-1.5]]),
    "empty": torch.zeros(0, 4),
}
save_file(tensors, here / "several.safetensors", metadata={"format": "pt", "note": "é"})
print("peft", peft.__version__, "torch", torch.__version__)
