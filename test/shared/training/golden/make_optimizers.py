"""Writes optimizers.json: torch.optim on a fixed gradient sequence. See README.md beside this file."""

import json
from pathlib import Path

import torch

torch.set_num_threads(1)
STEPS = 5
SHAPE = (3, 4)


def numbers(tensor):
    return [float(f"{x:.9g}") for x in tensor.detach().flatten().float().tolist()]


def run(optimizer, start, gradients, **options):
    """The parameter after each step, in float64."""
    parameter = start.clone().requires_grad_()
    stepper = getattr(torch.optim, optimizer)([parameter], **options)
    after = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        stepper.step()
        after.append(numbers(parameter))
    return {"optimizer": optimizer.lower(), "options": options, "after": after}


def adam_without_noise(start, gradients, lr, betas, eps, noise):
    """DP-AdamBC (Tang et al. 2023, arXiv 2312.14334, algorithm 1) with at least 0.09 of the noise's variance."""
    parameter, m, v = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    after = []
    for step, gradient in enumerate(gradients, 1):
        m = betas[0] * m + (1 - betas[0]) * gradient
        v = betas[1] * v + (1 - betas[1]) * gradient**2
        mean, square = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
        parameter = parameter - lr * mean / (torch.clamp(square - noise, min=0.09 * noise).sqrt() + eps)
        after.append(numbers(parameter))
    options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0, "noise_variance": noise}
    return {"optimizer": "adam", "options": options, "after": after}


def main():
    generator = torch.Generator().manual_seed(20250602)
    draw = lambda: torch.randn(SHAPE, generator=generator).double()
    start = draw()
    # Magnitudes over six decades, one element that never moves, one that is zero at first.
    scale = torch.logspace(-5, 1, 12, dtype=torch.float64).reshape(SHAPE)
    gradients = [(draw() * scale).float().double() for _ in range(STEPS)]
    for step, gradient in enumerate(gradients):
        gradient[1, 1] = 0
        if step < 2:
            gradient[2, 0] = 0
    runs = [
        run("SGD", start, gradients, lr=0.1),
        run("SGD", start, gradients, lr=0.1, momentum=0.9),
        run("Adam", start, gradients, lr=1e-3, betas=[0.9, 0.999], eps=1e-8),
        run("AdamW", start, gradients, lr=1e-2, betas=[0.9, 0.98], eps=1e-6, weight_decay=0.01),
        adam_without_noise(start, gradients, lr=1e-3, betas=[0.9, 0.999], eps=1e-8, noise=1e-4),
    ]
    golden = {
        "shape": list(SHAPE),
        "start": numbers(start),
        "gradients": [numbers(g) for g in gradients],
        "runs": runs,
    }
    (Path(__file__).parent / "optimizers.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
