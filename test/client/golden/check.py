"""Whether PyTorch reads what softpost exports (see README.md beside this file)."""

import base64
import io
import json
import pathlib
import sys

import torch

here = pathlib.Path(__file__).parent
matrix = torch.load(here / "matrix.pt", weights_only=True)
assert torch.equal(matrix, torch.tensor([[0.0, -0.0, 1.5], [float("-inf"), 1e-45, 3.4e38]])), matrix
assert matrix.dtype == torch.float32 and matrix.is_contiguous()
print("matrix.pt is read")

if len(sys.argv) > 1:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, prompt, task, data, requests = sys.argv[1:]
    template = json.loads(pathlib.Path(task).read_text())["template"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), prompt).eval()
    worst = 0.0
    with torch.no_grad():
        for row, line in zip(open(data), open(requests), strict=True):
            payload = base64.b64decode(json.loads(line)["prompt_embeds"], validate=True)
            embeds = torch.load(io.BytesIO(payload), weights_only=True)
            ids = tokenizer(template.replace("{text}", json.loads(row)["text"]), return_tensors="pt")["input_ids"]
            mine = plain(inputs_embeds=embeds[None]).logits[0, -1]
            theirs = prompted(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
            worst = max(worst, (mine - theirs).abs().max().item())
    print("largest difference of a logit:", worst)
