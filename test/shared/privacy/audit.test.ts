import { describe, expect, it } from "vitest";
import {
  areaUnder,
  auditedEpsilon,
  bestAudit,
  chanceOfArea,
  guessExtremes,
  guessLowest,
  liraScores,
  rocCurve,
  type Scored,
  truePositiveRateAt,
} from "../../../shared/privacy/audit.ts";
import { discreteGaussianSampler } from "../../../shared/privacy/discrete-gaussian.ts";
import { gaussianEpsilonBounds } from "../../../shared/privacy/gaussian.ts";
import { Draws, seededRandom } from "../../../shared/protocol/random.ts";

describe("the one-run audit", () => {
  // Steinke, Nasr and Jagielski's own figures for m = 1000 canaries, delta = 1e-5, 95 % confidence.
  it.each([
    [100, 3.4654],
    [90, 1.6261],
  ])("%d of 100 guesses right", (right, epsilon) => {
    expect(auditedEpsilon({ canaries: 1000, guesses: 100, right }, 1e-5)).toBeCloseTo(epsilon, 4);
  });

  it("shows nothing for guesses that are right half the time, and less with a larger delta or confidence", () => {
    expect(auditedEpsilon({ canaries: 1000, guesses: 100, right: 50 }, 1e-5)).toBe(0);
    const audit = { canaries: 1000, guesses: 100, right: 95 };
    expect(auditedEpsilon(audit, 1e-4)).toBeLessThan(auditedEpsilon(audit, 1e-6));
    expect(auditedEpsilon(audit, 1e-5, 0.999)).toBeLessThan(auditedEpsilon(audit, 1e-5));
  });

  /** Canaries with a coordinate of their own in one noised sum: the strongest audit there is of the mechanism. */
  const auditMechanism = (sigma: number, seed: number) => {
    const random = seededRandom(20, seed);
    const draws = new Draws(random);
    const unit = 2 ** 20;
    const noise = sigma === 0 ? () => 0 : discreteGaussianSampler(sigma * unit, random);
    const scored = Array.from({ length: 1000 }, (): Scored => {
      const member = draws.bernoulli(1, 2);
      return { member, score: noise() + (member ? unit : 0) };
    });
    return auditedEpsilon(guessExtremes(scored, 200), 1e-5);
  };

  it("takes the better of two ways to guess, each with half of the doubt", () => {
    // 40 sure outs, and members and luck above them.
    const scored = Array.from({ length: 120 }, (_, i): Scored => ({ score: i, member: i >= 40 && i % 2 === 0 }));
    expect(guessLowest(scored, 40)).toEqual({ canaries: 120, guesses: 40, right: 40 });
    const best = bestAudit(scored, 40, 1e-5);
    expect(best).toMatchObject({ guesses: 40, right: 40 });
    expect(best.epsilon).toBe(auditedEpsilon({ canaries: 120, guesses: 40, right: 40 }, 1e-5, 0.975));
    const mirrored = scored.map(({ score, member }, i): Scored => ({ score, member: i >= 100 || (i >= 20 && member) }));
    expect(bestAudit(mirrored, 40, 1e-5)).toMatchObject(guessExtremes(mirrored, 40));
  });

  it("stays below the epsilon of a mechanism with its noise, over seeds, and far above it without", () => {
    const claimed = gaussianEpsilonBounds(1, 1e-5).upper;
    const bounds = Array.from({ length: 20 }, (_, seed) => auditMechanism(1, seed));
    expect(Math.max(...bounds)).toBeLessThan(claimed);
    expect(Math.min(...bounds)).toBeGreaterThan(0.3);
    expect(auditMechanism(0, 1)).toBeGreaterThan(gaussianEpsilonBounds(1 / 2, 1e-5).upper);
  });
});

describe("the curve of an attack", () => {
  const scored = (text: string): Scored[] => [...text].map((c, i) => ({ score: -i, member: c === "m" }));

  it("has area 1, 0 and 1/2 for perfect, opposite and no knowledge; ties count half", () => {
    expect(areaUnder(rocCurve(scored("mmmooo")))).toBe(1);
    expect(areaUnder(rocCurve(scored("ooommm")))).toBe(0);
    expect(areaUnder(rocCurve(scored("mmmooo").map((each) => ({ ...each, score: 0 }))))).toBe(0.5);
    expect(areaUnder(rocCurve(scored("momo")))).toBe(0.75);
  });

  it("gives the true positives at a rate of false positives", () => {
    const curve = rocCurve(scored("mmommooooo"));
    expect(truePositiveRateAt(curve, 0)).toBe(0.5);
    expect(truePositiveRateAt(curve, 1 / 6)).toBe(1);
  });

  it("knows chance", () => {
    expect(chanceOfArea(0.5, 100, 100)).toBeCloseTo(1, 12);
    expect(chanceOfArea(0.7, 100, 100)).toBeLessThan(1e-5);
  });
});

describe("LiRA", () => {
  const attack = (effect: number) => {
    const draws = new Draws(seededRandom(21));
    const normal = () => Array.from({ length: 12 }, () => draws.uniform53()).reduce((a, b) => a + b, -6);
    const [models, examples] = [8, 300];
    const hardness = Array.from({ length: examples }, () => 3 * normal());
    const members = Array.from({ length: models }, () => Array.from({ length: examples }, () => draws.bernoulli(1, 2)));
    const confidences = members.map((row) => row.map((member, i) => hardness[i]! + normal() + (member ? effect : 0)));
    return areaUnder(rocCurve(liraScores(confidences, members)));
  };

  it("finds members by what is usual for each example, and nothing where training leaves no trace", () => {
    expect(attack(2)).toBeGreaterThan(0.85);
    expect(Math.abs(attack(0) - 0.5)).toBeLessThan(0.03);
  });
});
