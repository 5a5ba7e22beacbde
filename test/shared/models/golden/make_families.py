"""Writes families/<name>/: tiny random checkpoints of every family, and what transformers and PEFT make of them.

    python make_families.py        # torch 2.13, transformers 5.18, peft 0.21

Weights are drawn, rounded to the checkpoint's dtype and computed with in float64. Of every checkpoint, golden.safetensors has

    ids [B,T], lengths [B], read [B], prompt [P,D], classes [2], labels [B]      what goes in
    bare [B,V]                                     logits at the read position without a prompt
    logits [B,V]                                   with the prompt, by PEFT
    loss [], gradient [P,D], gradients [B,P,D]     class cross-entropy: its mean, that one's gradient by PEFT, and of each row's
    distill.loss [], distill.<weight>              distillation of a student of the first and last layer on full rows `distill.ids`
                                                   [2,T] with `distill.labels` and `distill.predicted`: gradients of its weights
"""

import copy
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
import transformers as hf
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import save_file

torch.set_num_threads(1)
HERE = Path(__file__).parent / "families"
B, P, T, V, D, L, H = 3, 4, 6, 40, 16, 3, 4
LENGTHS = torch.tensor([6, 3, 4])
ROWS = torch.arange(B)
TEMPERATURE = 2.0


def llama(kind=hf.LlamaConfig, **options):
    return kind(
        vocab_size=V, hidden_size=D, intermediate_size=24, num_hidden_layers=L, num_attention_heads=H,
        max_position_embeddings=64, pad_token_id=None, bos_token_id=0, eos_token_id=0, **{"tie_word_embeddings": False, **options},
    )  # fmt: skip


def rope(kind, **options):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1000.0, **options}}


def masked(kind, **options):
    return kind(
        vocab_size=V, hidden_size=D, intermediate_size=24, num_hidden_layers=L, num_attention_heads=H,
        max_position_embeddings=32, pad_token_id=1, layer_norm_eps=1e-5, **options,
    )  # fmt: skip


YARN = {"factor": 4.0, "original_max_position_embeddings": 16}
# name: (config, dtype of the file, other arguments of save_pretrained)
CHECKPOINTS = {
    "llama": (llama(num_key_value_heads=4), torch.float32, {}),
    "llama-tied-grouped": (llama(num_key_value_heads=2, tie_word_embeddings=True), torch.float32, {}),
    "llama-biases-one-key-head": (
        llama(num_key_value_heads=1, attention_bias=True, mlp_bias=True, head_dim=6, hidden_act="gelu_pytorch_tanh"),
        torch.float32, {},
    ),
    "llama-bf16-shards": (llama(num_key_value_heads=2), torch.bfloat16, {"max_shard_size": "4KB"}),
    "llama-fp16": (llama(num_key_value_heads=2), torch.float16, {}),
    "llama-rope-linear": (llama(num_key_value_heads=2, **rope("linear", factor=3.0)), torch.float32, {}),
    "llama-rope-dynamic": (llama(num_key_value_heads=2, **rope("dynamic", factor=3.0)), torch.float32, {}),
    "llama-rope-llama3": (
        llama(num_key_value_heads=2, head_dim=8,
              **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
        torch.float32, {},
    ),
    "llama-rope-yarn": (llama(num_key_value_heads=2, head_dim=8, **rope("yarn", beta_fast=8.0, **YARN)), torch.float32, {}),
    "llama-rope-yarn-mscale": (
        llama(num_key_value_heads=2, head_dim=8,
              **rope("yarn", beta_fast=8.0, truncate=False, mscale=1.0, mscale_all_dim=0.8, **YARN)),
        torch.float32, {},
    ),
    "mistral": (llama(hf.MistralConfig, num_key_value_heads=2, sliding_window=12), torch.float32, {}),
    "qwen2": (llama(hf.Qwen2Config, num_key_value_heads=2, tie_word_embeddings=True), torch.float32, {}),
    "qwen3": (llama(hf.Qwen3Config, num_key_value_heads=2, head_dim=6), torch.float32, {}),
    "smollm3": (llama(hf.SmolLM3Config, num_key_value_heads=2, no_rope_layers=[1, 0, 1]), torch.float32, {}),
    "gpt2-own-head-gelu": (
        hf.GPT2Config(vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_positions=32, n_inner=20, activation_function="gelu",
                      tie_word_embeddings=False, bos_token_id=0, eos_token_id=0),
        torch.float32, {},
    ),
    "gpt2-fp16": (
        hf.GPT2Config(vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_positions=32, bos_token_id=0, eos_token_id=0),
        torch.float16, {},
    ),
    "roberta": (masked(hf.RobertaConfig, type_vocab_size=1), torch.float32, {}),
    "roberta-own-head-bf16": (masked(hf.RobertaConfig, type_vocab_size=1, tie_word_embeddings=False), torch.bfloat16, {}),
    "bert": (masked(hf.BertConfig, type_vocab_size=2, hidden_act="gelu_new"), torch.float32, {"max_shard_size": "8KB"}),
    # Their config.json says that the head is the embedding, which it isn't.
    "gpt2-tied-with-own-head": (
        hf.GPT2Config(vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_positions=32, bos_token_id=0, eos_token_id=0, tie_word_embeddings=False),
        torch.float32, {},
    ),
    "llama-tied-with-own-head": (llama(num_key_value_heads=2), torch.bfloat16, {"max_shard_size": "4KB"}),
    "roberta-tied-with-own-head": (masked(hf.RobertaConfig, type_vocab_size=1, tie_word_embeddings=False), torch.float32, {}),
    "bert-tied-with-own-head": (masked(hf.BertConfig, type_vocab_size=2, tie_word_embeddings=False), torch.float32, {}),
}  # fmt: skip


def is_masked(config):
    return config.model_type in ("roberta", "bert")


def make(name, config, dtype, options):
    kind = hf.AutoModelForMaskedLM if is_masked(config) else hf.AutoModelForCausalLM
    model = kind.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.1 * noise if weight.dim() == 1 and weight.mean() == 1 else 0.3 * noise)
    model.tie_weights()
    folder = HERE / name
    model.to(dtype).save_pretrained(folder, **options)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if "tied-with-own-head" in name:
        text = (folder / "config.json").read_text()
        (folder / "config.json").write_text(text.replace('"tie_word_embeddings": false', '"tie_word_embeddings": true'))
    return kind.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval(), folder


def kl(p_logits, q_logits):
    p, q = (p_logits / TEMPERATURE).log_softmax(-1), (q_logits / TEMPERATURE).log_softmax(-1)
    return TEMPERATURE**2 * (p.exp() * (p - q)).sum(-1).mean()


def classify(model, golden):
    config = model.config
    ids = torch.randint(3, V, (B, T), generator=generator)
    read = torch.tensor([2, 1, 3]) if is_masked(config) else LENGTHS - 1
    real = (torch.arange(T) < LENGTHS[:, None]).long()
    ids = ids * real + (1 - real)  # RoBERTa counts positions of what isn't padding: 1 is its padding
    prompt = 0.5 * torch.randn(P, D, generator=generator)
    classes, labels = torch.tensor([5, 9]), torch.tensor([0, 1, 1])
    golden.update(ids=ids, lengths=LENGTHS, read=read, prompt=prompt, classes=classes, labels=labels)
    golden["bare"] = model(input_ids=ids, attention_mask=real).logits[ROWS, read]

    task = "FEATURE_EXTRACTION" if is_masked(config) else "CAUSAL_LM"
    wrapped = get_peft_model(copy.deepcopy(model), PromptTuningConfig(task_type=task, num_virtual_tokens=P)).double().eval()
    weight = wrapped.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(prompt)
    logits = wrapped(input_ids=ids, attention_mask=real).logits[ROWS, P + read]
    losses = F.cross_entropy(logits[:, classes], labels, reduction="none")
    each = torch.stack([torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in losses])
    golden.update(logits=logits, loss=losses.mean(), gradient=each.mean(0), gradients=each)


def distill(model, golden):
    student = copy.deepcopy(model)
    base = student.base_model
    home, name = (base.encoder, "layer") if is_masked(model.config) else (base, "h" if hasattr(base, "h") else "layers")
    layers = torch.nn.ModuleList([getattr(home, name)[0], getattr(home, name)[L - 1]])
    setattr(home, name, layers)
    student.config.num_hidden_layers = 2
    for index, layer in enumerate(layers):
        for attention in ("self_attn", "attn"):
            if hasattr(layer, attention):
                getattr(layer, attention).layer_idx = index
    if is_masked(model.config):
        trained = {n: w for n, w in student.named_parameters() if ".layer." in n}
    else:
        trained = {n: w for n, w in student.named_parameters() if ".h." in n or ".layers." in n or "norm." in n or "ln_f" in n}
    ids = torch.randint(3, V, (2, T), generator=generator)
    labels = torch.randint(3, V, (2, T), generator=generator)
    predicted = torch.ones(2, T)
    if is_masked(model.config):
        predicted = torch.zeros(2, T)
        predicted[0, 2] = predicted[1, 4] = 1
    with torch.no_grad():
        wanted = model(input_ids=ids, output_hidden_states=True)
    got = student(input_ids=ids, output_hidden_states=True)
    language = F.cross_entropy(got.logits.flatten(0, 1), labels.flatten(), reduction="none") * predicted.flatten()
    direction = 1 - F.cosine_similarity(got.hidden_states[-1], wanted.hidden_states[-1], dim=-1).mean()
    loss = 5 * kl(wanted.logits, got.logits) + 2 * language.sum() / predicted.sum() + direction
    gradients = torch.autograd.grad(loss, list(trained.values()))
    golden.update({"distill.ids": ids, "distill.labels": labels, "distill.predicted": predicted, "distill.loss": loss})
    golden.update({f"distill.{n}": g for n, g in zip(trained, gradients)})


def stored(tensor):
    return tensor.detach().contiguous().clone().to(torch.float32)


shutil.rmtree(HERE, ignore_errors=True)
for index, (name, (config, dtype, options)) in enumerate(CHECKPOINTS.items()):
    generator = torch.Generator().manual_seed(20261124 + index)
    model, folder = make(name, config, dtype, options)
    golden = {}
    classify(model, golden)
    distill(model, golden)
    save_file({n: stored(t) for n, t in golden.items()}, folder / "golden.safetensors")
