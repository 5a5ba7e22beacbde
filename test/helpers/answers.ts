/** What a provider answers, where a test needs no more of it. */

export const FILES = [{ name: "config.json", size: 1_000_000, sha256: "0".repeat(64) }];

export const student = (digest: string) => ({
  id: "student",
  kind: "distilled",
  digest,
  architecture: "gpt2",
  dimension: 32,
  positions: 64,
  embeddingNorms: { mean: 1, max: 2 },
  files: FILES,
  target: { id: "target", digest, files: FILES, layers: 4, precision: "fp32" },
  tokensPerSecond: 1000,
  retired: false,
});

export const QUOTE = {
  rate: { device: "CPU", currency: "USD", microsPerHour: 3_600_000 },
  estimate: { deviceSeconds: 10, micros: 10_000 },
  reserve: { deviceSeconds: 20, micros: 20_000 },
  cancellation: "",
  model: { formula: "", startSeconds: 5, tokens: 1000, tokensPerSecond: 100, finishedJobs: 0 },
  left: { money: 1, deviceSeconds: 1, virtualTokens: 1, concurrent: 1, daily: 1, privacy: null },
  refusals: [],
};
