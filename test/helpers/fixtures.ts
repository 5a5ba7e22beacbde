import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The absolute path of something in test/fixtures. */
export function fixture(path: string): string {
  return fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
}

/** What PEFT gives for the tiny model and task (test/fixtures/README.md). */
export const goldenTask = JSON.parse(readFileSync(fixture("golden/tiny-task.json"), "utf8")) as {
  readonly evaluation: Record<
    "train" | "test",
    Record<"zeroShot" | "prompted", { loss: number; accuracy: number; predicted: number[]; probabilities: number[][] }>
  >;
  readonly sgd: readonly { batchSize: number; loss: number }[];
};
