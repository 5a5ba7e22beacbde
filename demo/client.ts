import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Budget } from "../shared/protocol/budget.ts";
import type { Quote } from "../shared/protocol/quote.ts";
import type { Transfer } from "../shared/protocol/transfer.ts";
import type { Row } from "./corpora/task-files.ts";
import { budgetRows, money } from "./report/tables.ts";
import { TASKS } from "./settings.ts";
import { type Party, softpost } from "./softpost.ts";

/** A prompt at the provider. */
export interface Submitted {
  readonly id: string;
  readonly quote: Quote;
}

/** The client's dealings with the provider, each of them a command. */
export class Client {
  readonly #party: Party;

  constructor(party: Party) {
    this.#party = party;
  }

  /** Downloads the one student that the provider publishes. */
  async fetchStudent(out: string): Promise<void> {
    const { result } = await softpost<{ students: { id: string }[] }>(this.#party, "students");
    await softpost(this.#party, "students", result.students[0]!.id, "--out", out);
  }

  /** Asks for the price of a prompt's transfer, and submits it. */
  async submit(task: string, prompt: string): Promise<Submitted> {
    const { steps, batchSize, learningRate } = TASKS[task]!.transfer;
    const flags = [
      // The data set's name is opaque to the provider: it only says which prompts share their data.
      ...["--prompt", `${task}/${prompt}`, "--dataset", `${task}-data`, "--public", `${task}-public`],
      ...["--steps", String(steps), "--batch-size", String(batchSize), "--lr", String(learningRate)],
    ];
    const { result: quote } = await softpost<Quote>(this.#party, "quote", ...flags);
    const { estimate, reserve, model } = quote;
    const basis = model.finishedJobs > 0 ? `from ${model.finishedJobs} finished jobs` : "assumed, no job has finished";
    console.log(
      `About ${estimate.deviceSeconds} device seconds (${money(estimate.micros)}), at most ${reserve.deviceSeconds}; speed ${basis}.`,
    );
    const { result: transfer } = await softpost<Transfer>(this.#party, "submit", ...flags, "--no-privacy");
    console.log(`${transfer.id} is ${transfer.state}.`);
    return { id: transfer.id, quote };
  }

  /** Follows a transfer to its end and downloads the prompt. */
  async collect({ id }: Submitted, out: string): Promise<Transfer> {
    const { result } = await softpost<Transfer>(this.#party, "wait", id);
    console.log(
      `It took ${result.cost!.deviceSeconds} device seconds and cost ${money(result.cost!.micros)}. On ${result.travel!.heldOut} held-out ` +
        `public texts the target with it agrees with the student on ${(100 * result.travel!.agreement).toFixed(0)} %.`,
    );
    await softpost(this.#party, "download", id, "--out", out);
    return result;
  }

  /** Lets the provider label the task's test texts with a transferred prompt. @returns the share that it gets right */
  async accuracy(task: string, transfer: string, test: readonly Row[]): Promise<number> {
    const out = `${task}/labels-${transfer}.jsonl`;
    const data = ["--data", `${task}/test.jsonl`, "--out", out];
    await softpost(this.#party, "classify", "--model", `target:${transfer}`, ...data);
    const lines = readFileSync(join(this.#party.folder, out), "utf8").trimEnd().split("\n");
    const labels = lines.map((line) => (JSON.parse(line) as { label: string }).label);
    return test.filter(({ label }, i) => label === labels[i]).length / test.length;
  }

  async budget(): Promise<Budget> {
    const { result } = await softpost<Budget>(this.#party, "budget");
    console.log(
      budgetRows(result)
        .map(([name, spent, limit]) => `  ${name}: ${spent} of ${limit}`)
        .join("\n"),
    );
    return result;
  }
}
