"""Writes quantised/<name>-<form>.safetensors: what transformers and PEFT make of families/<name> with its layers' matrices rounded.

    python make_quantised.py       # after make_families.py; torch 2.13, transformers 5.18, peft 0.21

The rounding is written here from what shared/models/README.md says of it, and computed with in float64. Of each form, with the inputs
of families/<name>/golden.safetensors:

    logits [B,V], loss [], gradient [P,D]     as there
    rounded.<weight>                          the rounded matrices of the first layer
"""

from pathlib import Path
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
import transformers as hf
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
HERE = Path(__file__).parent
# name: its matrices have the inputs first
NAMES = {"llama-tied-grouped": False, "gpt2-own-head-gelu": True, "roberta": False, "llama-bf16-shards": False}
FORMS = {"int8": (8, True), "int4": (4, False)}
BLOCK = 64


def rounded(weight, bits, symmetric):
    """Rows of the outputs; all of these matrices are narrower than a block."""
    weight = weight.float()
    assert weight.shape[1] <= BLOCK
    low, high = weight.amin(1, keepdim=True).clamp(max=0), weight.amax(1, keepdim=True).clamp(min=0)
    if symmetric:
        scale = (torch.maximum(-low.double(), high.double()) / (2 ** (bits - 1) - 1)).float()
        zero, least, most = 0, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    else:
        scale = ((high.double() - low.double()) / (2**bits - 1)).float()
        zero = torch.floor(-low.double() / scale.double() + 0.5)
        least, most = -zero, 2**bits - 1 - zero
    steps = torch.floor(weight.double() / scale.double() + 0.5)
    return torch.clamp(steps, least, most) * scale.double() if symmetric else torch.maximum(torch.minimum(steps, most), least) * scale.double()


(HERE / "quantised").mkdir(exist_ok=True)
for name, inputs_first in NAMES.items():
    folder = HERE / "families" / name
    given = load_file(folder / "golden.safetensors")
    masked = name == "roberta"
    kind = hf.AutoModelForMaskedLM if masked else hf.AutoModelForCausalLM
    for form, (bits, symmetric) in FORMS.items():
        model = kind.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
        golden = {}
        with torch.no_grad():
            for weight_name, weight in model.named_parameters():
                if weight.dim() != 2 or not any(part in weight_name for part in (".layers.", ".h.", ".layer.")):
                    continue
                value = rounded(weight.T, bits, symmetric).T if inputs_first else rounded(weight, bits, symmetric)
                weight.copy_(value)
                if ".0." in weight_name:
                    golden[f"rounded.{weight_name}"] = weight
        ids, lengths, read = (given[key].long() for key in ("ids", "lengths", "read"))
        prompt = given["prompt"]
        real = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        task = "FEATURE_EXTRACTION" if masked else "CAUSAL_LM"
        config = PromptTuningConfig(task_type=task, num_virtual_tokens=len(prompt))
        wrapped = get_peft_model(model, config).double().eval()
        weight = wrapped.prompt_encoder["default"].embedding.weight
        with torch.no_grad():
            weight.copy_(prompt)
        logits = wrapped(input_ids=ids, attention_mask=real).logits[torch.arange(len(ids)), len(prompt) + read]
        loss = F.cross_entropy(logits[:, given["classes"].long()], given["labels"].long())
        golden.update(logits=logits, loss=loss, gradient=torch.autograd.grad(loss, weight)[0])
        save_file(
            {key: value.detach().contiguous().clone().float() for key, value in golden.items()},
            HERE / "quantised" / f"{name}-{form}.safetensors",
        )
