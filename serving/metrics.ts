import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const ROWS = [1, 2, 4, 8, 16, 32, 64];

/** What is looked up when somebody asks. */
export interface Levels {
  readonly requests: number;
  readonly waiting: number;
  readonly rows: number;
  readonly prompts: number;
  readonly promptBytes: number;
  readonly unreported: number;
}

/** Figures for Prometheus. None says whose a request is, or what is in it. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter("requests_total", "Requests that ended, by route and status.", [
    "route",
    "status",
  ]);
  readonly #tokens = this.#counter("tokens_total", "Tokens, by kind: prompt or completion.", ["kind"]);
  readonly #prompts = this.#counter("prompt_uses_total", "Uses of soft prompts: hit or miss of the cache.", ["cache"]);
  readonly #first = this.#histogram("first_token_seconds", "From a request to its first token.", SECONDS);
  readonly #step = this.#histogram("step_seconds", "A step of the batch.", SECONDS);
  readonly #stepRows = this.#histogram("step_rows", "Rows of a step.", ROWS);
  #levels: (() => Levels) | undefined;

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge("requests", "Requests that run or wait.", ({ requests }) => requests);
    this.#gauge("queue", "Texts that wait for the model.", ({ waiting }) => waiting);
    this.#gauge("rows", "Answers that are being decoded.", ({ rows }) => rows);
    this.#gauge("prompts", "Soft prompts that are kept.", ({ prompts }) => prompts);
    this.#gauge("prompt_bytes", "Their memory.", ({ promptBytes }) => promptBytes);
    this.#gauge(
      "usage_unreported",
      "Reports of usage that the service hasn't taken yet.",
      ({ unreported }) => unreported,
    );
  }

  /** Says where levels are looked up. */
  watch(levels: () => Levels): void {
    this.#levels = levels;
  }

  request(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  tokens(kind: "prompt" | "completion", count: number): void {
    this.#tokens.inc({ kind }, count);
  }

  promptUse(hit: boolean): void {
    this.#prompts.inc({ cache: hit ? "hit" : "miss" });
  }

  firstToken(seconds: number): void {
    this.#first.observe(seconds);
  }

  step(rows: number, seconds: number): void {
    this.#step.observe(seconds);
    this.#stepRows.observe(rows);
  }

  /** Requests that run or wait. */
  get requestCount(): number {
    return this.#levels?.().requests ?? 0;
  }

  /** Prometheus's text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> {
    return new Counter({ name: `softpost_${name}`, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return new Histogram({ name: `softpost_${name}`, help, buckets: [...buckets], registers: [this.#registry] });
  }

  #gauge(name: string, help: string, level: (levels: Levels) => number): void {
    const levels = () => this.#levels?.();
    new Gauge({
      name: `softpost_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        const now = levels();
        if (now) this.set(level(now));
      },
    });
  }
}
