"""Membership tests of a Poisson-subsampled Gaussian run, by simulation: python make-trade-off.py > trade-off.json

The likelihood-ratio test is the best there is (Neyman and Pearson), so the share of members that it finds at a false-positive rate is what
the bound must not fall below. Errors: one standard error of the share, with that of its threshold.
"""
import json

import numpy as np

RUNS = [(32 / 300, 1.155, 188), (256 / 3000, 0.9, 150), (0.02, 1.0, 400)]
SAMPLES, PARTS = 200_000, 10
FALSE_POSITIVES = [0.001, 0.01, 0.1]


def shares(rng, q, sigma, steps):
    out, member = np.zeros(SAMPLES), np.zeros(SAMPLES)
    for _ in range(steps):
        for losses, drawn in ((out, 0.0), (member, rng.random(SAMPLES) < q)):
            x = rng.normal(0, sigma, SAMPLES) + drawn
            losses += np.log1p(q * np.expm1((2 * x - 1) / (2 * sigma**2)))
    return [float((member > np.quantile(out, 1 - rate)).mean()) for rate in FALSE_POSITIVES]


rng = np.random.default_rng(0)
cases = []
for q, sigma, steps in RUNS:
    parts = np.array([shares(rng, q, sigma, steps) for _ in range(PARTS)])
    cases.append(
        {
            "sampleRate": q,
            "noiseMultiplier": sigma,
            "steps": steps,
            "truePositives": parts.mean(0).tolist(),
            "errors": (parts.std(0, ddof=1) / np.sqrt(PARTS)).tolist(),
        }
    )
print(json.dumps({"falsePositives": FALSE_POSITIVES, "cases": cases}, indent=2))
