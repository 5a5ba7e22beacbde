"""Adapter folders of PEFT on test/fixtures/tiny-gpt2, and the prompts that PEFT puts before a text: python make_adapters.py

torch 2.13, transformers 5.18, peft 0.21."""

import json
import shutil

import torch
from peft import PeftModel, PromptEncoderConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM

MODEL = "../../fixtures/tiny-gpt2"
prompts = {}


def save(name, config, **options):
    torch.manual_seed(7)
    base = AutoModelForCausalLM.from_pretrained(MODEL)
    model = get_peft_model(base, config)
    shutil.rmtree(f"adapters/{name}", ignore_errors=True)
    model.save_pretrained(f"adapters/{name}", **options)
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(MODEL), f"adapters/{name}").eval()
    with torch.no_grad():
        prompts[name] = loaded.get_prompt(1)[0].tolist()
    # PEFT writes a model card too, which softpost doesn't read, and the path of the model.
    shutil.os.remove(f"adapters/{name}/README.md")
    path = f"adapters/{name}/adapter_config.json"
    with open(path) as file:
        said = {**json.load(file), "base_model_name_or_path": "org/tiny-gpt2"}
    with open(path, "w") as file:
        json.dump(said, file, indent=2, sort_keys=True)
        file.write("\n")


causal = {"task_type": TaskType.CAUSAL_LM, "num_virtual_tokens": 4}
save("p-tuning-mlp", PromptEncoderConfig(**causal, encoder_hidden_size=16))
save("p-tuning-lstm", PromptEncoderConfig(**causal, encoder_reparameterization_type="LSTM", encoder_hidden_size=16))
save("embeddings-saved", PromptTuningConfig(**causal), save_embedding_layers=True)
with open("adapters/prompts.json", "w") as file:
    json.dump(prompts, file)
    file.write("\n")
