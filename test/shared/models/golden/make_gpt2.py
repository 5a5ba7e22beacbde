"""Writes golden.json and golden.safetensors: what transformers and PEFT make of test/fixtures/tiny-gpt2.

Everything is computed in float64. See README.md beside this file.
"""

import copy
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
from peft import PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
HERE = Path(__file__).parent
MODEL = HERE.parents[2] / "fixtures" / "tiny-gpt2"

P, D, T = 5, 32, 7
LENGTHS = torch.tensor([7, 3, 5, 1])
B = len(LENGTHS)
CLASSES = [[73], [77, 80]]  # verbalizer: one word, two words
LABELS = torch.tensor([0, 1, 1, 0])
TEMPERATURE, ALPHA = 2.0, 0.3
STUDENT_LAYERS = [0, -1]
ADAMW = {"lr": 2.5e-4, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.0}
CLIP, STEPS = 5.0, 3

generator = torch.Generator().manual_seed(20250605)
ROWS = torch.arange(B)
REAL = torch.arange(T) < LENGTHS[:, None]
IDS = torch.randint(1, 96, (B, T), generator=generator) * REAL  # right padding with 0
golden, tensors = {}, {}


def scalar(value):
    return float(f"{torch.as_tensor(value).item():.9g}")


def keep(name, tensor):
    tensors[name] = tensor.detach().float().contiguous().clone()


def random_prompt():
    return (0.3 * torch.randn(P, D, generator=generator)).double()


def load():
    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float64, attn_implementation="eager").eval()


def student_of(target):
    """The target's layers of STUDENT_LAYERS, in a model of its own with copies of everything else."""
    student = copy.deepcopy(target)
    student.transformer.h = torch.nn.ModuleList(student.transformer.h[i] for i in STUDENT_LAYERS)
    for index, block in enumerate(student.transformer.h):
        block.attn.layer_idx = index
    student.config.n_layer = len(student.transformer.h)
    return student


def hidden(model, prompt=None):
    """The final hidden states after ln_f at the text's positions, [B, T, D]."""
    embedded = model.transformer.wte(IDS)
    mask = REAL.long()
    if prompt is not None:
        embedded = torch.cat([prompt.expand(B, -1, -1), embedded], 1)
        mask = torch.cat([mask.new_ones(B, len(prompt)), mask], 1)
    states = model.transformer(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
    return states[:, -T:]


def last(states):
    return states[ROWS, LENGTHS - 1]


def scores_of(logits):
    return torch.stack([logits[:, words].mean(-1) for words in CLASSES], -1)


def kl(p_logits, q_logits):
    """KL(softmax(p) || softmax(q)) a row."""
    p, q = p_logits.log_softmax(-1), q_logits.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


def peft_gradient(prompt):
    """Loss and gradient of the mean cross-entropy, as PEFT's prompt tuning computes them."""
    model = get_peft_model(load(), PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=P))
    model = model.double().eval()
    weight = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(prompt)
    logits = model(input_ids=IDS, attention_mask=REAL.long()).logits
    loss = F.cross_entropy(scores_of(logits[ROWS, P + LENGTHS - 1]), LABELS)
    loss.backward()
    return loss.detach(), weight.grad


def classify(model):
    bare = last(hidden(model))
    keep("classify.hidden.bare", bare)
    keep("classify.logits.bare", model.lm_head(bare))
    scores = scores_of(model.lm_head(bare))
    golden["classify"] = {"loss": {"bare": scalar(F.cross_entropy(scores, LABELS))}}
    keep("classify.scores.bare", scores)

    prompt = random_prompt().requires_grad_()
    states = last(hidden(model, prompt))
    logits = model.lm_head(states)
    scores = scores_of(logits)
    losses = F.cross_entropy(scores, LABELS, reduction="none")
    (gradient,) = torch.autograd.grad(losses.mean(), prompt, retain_graph=True)
    each = torch.stack([torch.autograd.grad(loss, prompt, retain_graph=True)[0] for loss in losses])
    loss, expected = peft_gradient(prompt.detach())
    assert torch.allclose(losses.mean(), loss, rtol=1e-12, atol=0)
    assert torch.allclose(gradient, expected, rtol=1e-10, atol=1e-14)
    assert torch.allclose(each.mean(0), gradient, rtol=1e-10, atol=1e-14)
    golden["classify"]["loss"]["prompted"] = scalar(loss)
    golden["classify"]["losses"] = [scalar(x) for x in losses]
    keep("classify.prompt", prompt)
    keep("classify.hidden.prompted", states)
    keep("classify.logits.prompted", logits)
    keep("classify.scores.prompted", scores)
    keep("classify.gradient", expected)
    keep("classify.gradients", each)


def transfer(target, student):
    """The POST transfer loss (arXiv 2506.16196) with its gradient for the target's prompt."""
    student_prompt, target_prompt = random_prompt(), random_prompt().requires_grad_()
    with torch.no_grad():
        fixed = {"student": last(hidden(student)), "target": last(hidden(target))}
        fixed["studentPrompted"] = last(hidden(student, student_prompt))
    states = last(hidden(target, target_prompt))
    head = target.lm_head
    z_s, z_t, z_sp, z_tp = (
        head(h) for h in (fixed["student"], fixed["target"], fixed["studentPrompted"], states)
    )
    imitate = TEMPERATURE**2 * kl(z_sp / TEMPERATURE, z_tp / TEMPERATURE)
    move = TEMPERATURE**2 * kl((z_sp - z_s) / TEMPERATURE, (z_tp - z_t) / TEMPERATURE)
    loss = ((1 - ALPHA) * imitate + ALPHA * move).mean()
    (gradient,) = torch.autograd.grad(loss, target_prompt)
    golden["transfer"] = {
        "temperature": TEMPERATURE,
        "alpha": ALPHA,
        "loss": scalar(loss),
        "imitation": [scalar(x) for x in imitate],
        "movement": [scalar(x) for x in move],
    }
    keep("transfer.prompt.student", student_prompt)
    keep("transfer.prompt.target", target_prompt)
    for name, value in fixed.items():
        keep(f"transfer.hidden.{name}", value)
    keep("transfer.hidden.targetPrompted", states)
    keep("transfer.gradient", gradient)


def next_token_loss(logits, ids, real):
    counted = real[:, 1:]
    return F.cross_entropy(logits[:, :-1][counted], ids[:, 1:][counted])


def distillation_terms(student, target_states):
    states = hidden(student)
    z_s, z_t = student.lm_head(states), student.lm_head(target_states)
    return {
        "kl": kl(z_t[REAL] / TEMPERATURE, z_s[REAL] / TEMPERATURE).mean(),
        "lm": next_token_loss(z_s, IDS, REAL),
        "cosine": F.cosine_similarity(states[REAL], target_states[REAL], dim=-1).mean(),
    }


def distill(target, student):
    """Gradients of the first step and the weights after STEPS steps of AdamW on one batch."""
    with torch.no_grad():
        target_states = hidden(target)
    trained = {n: w for n, w in student.named_parameters() if ".h." in n or ".ln_f." in n}
    student.requires_grad_(False)
    for weight in trained.values():
        weight.requires_grad_()
    optimizer = torch.optim.AdamW(trained.values(), **ADAMW)
    steps = []
    for step in range(STEPS):
        optimizer.zero_grad()
        terms = distillation_terms(student, target_states)
        loss = 5 * TEMPERATURE**2 * terms["kl"] + 2 * terms["lm"] + (1 - terms["cosine"])
        loss.backward()
        if step == 0:
            for name, weight in trained.items():
                keep(f"distill.gradient.{name}", weight.grad)
        norm = torch.nn.utils.clip_grad_norm_(trained.values(), CLIP)
        optimizer.step()
        steps.append({"loss": scalar(loss), **{k: scalar(v) for k, v in terms.items()}, "gradientNorm": scalar(norm)})
    for name, weight in trained.items():
        keep(f"distill.after.{name}", weight)
    golden["distill"] = {"temperature": TEMPERATURE, "clip": CLIP, "optimizer": ADAMW, "steps": steps}


def pretrain(model):
    ids = torch.randint(0, 96, (2, 9), generator=generator)
    loss = next_token_loss(model(input_ids=ids).logits, ids, torch.ones_like(ids, dtype=torch.bool))
    assert torch.allclose(loss, model(input_ids=ids, labels=ids).loss.double(), rtol=1e-6)
    parameters = dict(model.named_parameters())
    for name, gradient in zip(parameters, torch.autograd.grad(loss, list(parameters.values()))):
        keep(f"pretrain.gradient.{name}", gradient)
    golden["pretrain"] = {"ids": ids.tolist(), "loss": scalar(loss)}


def main():
    golden["batch"] = {"ids": IDS.tolist(), "lengths": LENGTHS.tolist()}
    golden["classes"], golden["labels"] = CLASSES, LABELS.tolist()
    golden["studentLayers"] = STUDENT_LAYERS
    target = load()
    classify(target)
    transfer(target, student_of(target))
    distill(target, student_of(target))
    pretrain(target)
    save_file(tensors, HERE / "golden.safetensors")
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
