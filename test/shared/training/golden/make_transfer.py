"""Writes transfer.json: the class loss of a transfer, its gradient, how prompts are compared, and the cosine schedule.

The model, its batch and its prompt are those of ../../models/golden/make_gpt2.py. Computed in float64. See README.md beside this file.
"""

import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models" / "golden"
ALPHA, STEPS, WARMUP, PEAK = 0.3, 40, 0.05, 0.03

golden = json.loads((MODELS / "golden.json").read_text())
given = load_file(MODELS / "golden.safetensors")
ids, lengths = torch.tensor(golden["batch"]["ids"]), torch.tensor(golden["batch"]["lengths"])
B, T = ids.shape
model = AutoModelForCausalLM.from_pretrained(
    HERE.parents[2] / "fixtures" / "tiny-gpt2", dtype=torch.float64, attn_implementation="eager"
).eval()


def scores_of(prompt):
    embedded = torch.cat([prompt.expand(B, -1, -1), model.transformer.wte(ids)], 1)
    mask = torch.cat([torch.ones(B, len(prompt)), torch.arange(T) < lengths[:, None]], 1).long()
    logits = model(inputs_embeds=embedded, attention_mask=mask).logits[torch.arange(B), len(prompt) + lengths - 1]
    return torch.stack([logits[:, words].mean(-1) for words in golden["classes"]], -1)


def divergence(wanted, actual):
    """KL(softmax(wanted) || softmax(actual)), mean over the rows."""
    return F.kl_div(actual.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="batchmean")


generator = torch.Generator().manual_seed(17)
student_prompted, student, target = (torch.randn(B, 2, generator=generator).double() for _ in range(3))
prompt = given["transfer.prompt.target"].double().requires_grad_()
actual = scores_of(prompt)
losses = {
    "0": divergence(student_prompted, actual),
    str(ALPHA): (1 - ALPHA) * divergence(student_prompted, actual)
    + ALPHA * divergence(student_prompted - student, actual - target),
}
optimizer = torch.optim.SGD([torch.zeros(1)], lr=PEAK)
rising = round(STEPS * WARMUP)
falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS - rising)
rates = [PEAK * (step + 1) / rising for step in range(rising)]
for _ in range(STEPS - rising):
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    falling.step()
result = {
    "scores": {"prompted": student_prompted.tolist(), "student": student.tolist(), "target": target.tolist()},
    "losses": {
        alpha: {"loss": loss.item(), "gradient": torch.autograd.grad(loss, prompt, retain_graph=True)[0].tolist()}
        for alpha, loss in losses.items()
    },
    "compared": {
        "student": (wide := torch.randn(7, 3, generator=generator)).tolist(),
        "target": (other := wide + torch.randn(7, 3, generator=generator)).tolist(),
        "divergence": divergence(wide.double(), other.double()).item(),
        "agreement": (wide.argmax(-1) == other.argmax(-1)).double().mean().item(),
    },
    "schedule": {"steps": STEPS, "warmup": WARMUP, "peak": PEAK, "rates": rates},
}
(HERE / "transfer.json").write_text(json.dumps(result, indent=1) + "\n")
