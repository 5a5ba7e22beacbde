"""Writes generation/<name>/: tiny random causal checkpoints, and what PEFT and transformers make of a generation task with them.

    python make_generation.py        # torch 2.13, transformers 5.18, peft 0.21

Weights are float32 and computed with in float64. Of every checkpoint, golden.safetensors has

    ids [B,T], lengths [B], starts [B], prompt [P,D]     right-padded rows; of each, the tokens from its start on are the target
    loss [], losses [B], gradient [P,D], gradients [B,P,D]
                                   mean cross-entropy of a row's target tokens (of all rows: their mean), by PEFT with labels of -100
                                   outside of the target; the prompt's gradients
    hidden [sum of targets, D]     final hidden states, each at the position before a target token
    decoded [B, 32]                greedy decoding of what is before the targets, by PEFT's generate, each row by itself
    bare [B, 32]                   the same without a prompt
    logits [3,V], kept.<i> [3,V]   scores, and the probabilities that transformers' warpers leave of them, for each of SAMPLINGS

and generation.json has SAMPLINGS and pairs of answers with their SQuAD scores by the functions of its evaluation script (version 2.0).
"""

import collections
import copy
import json
import os
import re
import shutil
import string
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
import transformers as hf
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import save_file

torch.set_num_threads(1)
HERE = Path(__file__).parent
P, T, V, D, L, H, NEW = 4, 10, 40, 16, 3, 4, 32
LENGTHS, STARTS = torch.tensor([10, 7, 9, 3]), torch.tensor([6, 6, 4, 1])
SAMPLINGS = [
    {"temperature": 0.7}, {"topK": 5}, {"topP": 0.6}, {"temperature": 1.5, "topK": 12, "topP": 0.8}, {"topP": 0.05},
]  # fmt: skip


def llama(kind=hf.LlamaConfig, **options):
    return kind(
        vocab_size=V, hidden_size=D, intermediate_size=24, num_hidden_layers=L, num_attention_heads=H, num_key_value_heads=2,
        max_position_embeddings=64, pad_token_id=None, bos_token_id=0, eos_token_id=0, **options,
    )  # fmt: skip


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 1000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip
CHECKPOINTS = {
    "gpt2": hf.GPT2Config(vocab_size=V, n_embd=D, n_layer=L, n_head=H, n_positions=64, bos_token_id=0, eos_token_id=0),
    "llama": llama(head_dim=8, rope_parameters=LLAMA3, tie_word_embeddings=False),
    "mistral": llama(hf.MistralConfig, sliding_window=None, tie_word_embeddings=False),
    "qwen2": llama(hf.Qwen2Config, tie_word_embeddings=True),
    "qwen3": llama(hf.Qwen3Config, head_dim=6, tie_word_embeddings=False),
}
ANSWERS = [
    ("The Godfather", ["Godfather"]), ("steven  spielberg.", ["Steven Spielberg"]), ("a man, a plan", ["man a plan"]),
    ("john woo", ["john", "john woo and others"][1:]), ("", ["the"]), ("the", [""]), ("science-fiction film", ["science fiction"]),
    ("x x y", ["x y y"]), ("Ang Lee", ["Ang Lee"]), ("an", ["ban an"]), ("caf\u00e9 \u2014 the 2nd", ["CAF\u00c9 2nd"]), ("wrong", ["right"]),
]  # fmt: skip


def make(name, config, folder):
    model = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.1 * noise if weight.dim() == 1 and weight.mean() == 1 else 0.4 * noise)
    model.tie_weights()
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()


def score(model, prompt, golden):
    ids = torch.randint(1, V, (len(LENGTHS), T), generator=generator)
    real = (torch.arange(T) < LENGTHS[:, None]).long()
    ids = ids * real
    wrapped = get_peft_model(copy.deepcopy(model), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=P)).double().eval()
    weight = wrapped.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(prompt)
    labels = ids.masked_fill((torch.arange(T) < STARTS[:, None]) | (real == 0), -100)
    logits = wrapped(input_ids=ids, attention_mask=real).logits
    losses = []
    for row in range(len(ids)):
        own = wrapped(input_ids=ids[row : row + 1], attention_mask=real[row : row + 1], labels=labels[row : row + 1]).loss
        at = torch.arange(STARTS[row], LENGTHS[row])
        padded = F.cross_entropy(logits[row, P + at - 1], ids[row, at])
        assert torch.allclose(own, padded.float(), rtol=1e-5)  # transformers' own loss is computed in float32
        losses.append(padded)
    each = torch.stack([torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in losses])
    losses = torch.stack(losses)
    embedded = torch.cat([prompt.double().expand(len(ids), -1, -1), model.get_input_embeddings()(ids)], 1)
    hidden = model.base_model(inputs_embeds=embedded).last_hidden_state
    hidden = torch.cat([hidden[row, P + STARTS[row] - 1 : P + LENGTHS[row] - 1] for row in range(len(ids))])
    golden.update(ids=ids, lengths=LENGTHS, starts=STARTS, prompt=prompt, loss=losses.mean(), losses=losses)
    golden.update(gradient=each.mean(0), gradients=each, hidden=hidden)
    return wrapped, ids


def decode(model, ids, name):
    """Greedy decoding with a cache; the two best scores are never so near each other that float32 could exchange them."""
    out = []
    for row in range(len(ids)):
        start = ids[row : row + 1, : STARTS[row]]
        got = model.generate(
            input_ids=start, attention_mask=torch.ones_like(start), max_new_tokens=NEW, do_sample=False, eos_token_id=None,
            pad_token_id=0, output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
        tokens = got.sequences[0, start.shape[1] :]
        best = torch.stack([scores[0].topk(2).values for scores in got.scores])
        gap = (best[:, 0] - best[:, 1]).min().item()
        assert gap > 1e-3, (name, row, gap)
        full = model(input_ids=got.sequences, attention_mask=torch.ones_like(got.sequences)).logits[0, -NEW - 1 : -1]
        assert (full.argmax(-1) == tokens).all()
        out.append(tokens)
    return torch.stack(out)


def warp(logits, golden):
    golden["logits"] = logits
    for index, sampling in enumerate(SAMPLINGS):
        warped = logits.clone()
        if "temperature" in sampling:
            warped = hf.TemperatureLogitsWarper(sampling["temperature"])(None, warped)
        if "topK" in sampling:
            warped = hf.TopKLogitsWarper(sampling["topK"])(None, warped)
        if "topP" in sampling:
            warped = hf.TopPLogitsWarper(sampling["topP"])(None, warped)
        golden[f"kept.{index}"] = warped.softmax(-1)


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def f1_score(prediction, ground_truth):
    prediction_tokens, ground_truth_tokens = normalize_answer(prediction).split(), normalize_answer(ground_truth).split()
    common = collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if len(prediction_tokens) == 0 or len(ground_truth_tokens) == 0:
        return int(prediction_tokens == ground_truth_tokens)
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(prediction_tokens), 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def stored(tensor):
    return tensor.detach().contiguous().clone().to(torch.float32)


shutil.rmtree(HERE / "generation", ignore_errors=True)
for index, (name, config) in enumerate(CHECKPOINTS.items()):
    folder = HERE / "generation" / name
    for attempt in range(100):
        generator = torch.Generator().manual_seed(20261129 + 100 * index + attempt)
        model = make(name, config, folder)
        prompt = 0.5 * torch.randn(P, D, generator=generator)
        golden = {}
        wrapped, ids = score(model, prompt, golden)
        try:
            golden.update(decoded=decode(wrapped, ids, name), bare=decode(model, ids, name))
        except AssertionError as error:
            print("again", error)
            continue
        if all(len(set(row.tolist())) >= 6 for row in golden["decoded"]):
            break
    warp(2 * torch.randn(3, V, generator=generator, dtype=torch.float64), golden)
    save_file({n: stored(t) for n, t in golden.items()}, folder / "golden.safetensors")
    print(name, attempt, golden["decoded"][0].tolist())

answers = [
    {"answer": a, "target": t, "exact": normalize_answer(a) == normalize_answer(t), "f1": f1_score(a, t)} for a, [t] in ANSWERS
]
(HERE / "generation.json").write_text(json.dumps({"samplings": SAMPLINGS, "answers": answers}, indent=1) + "\n")
