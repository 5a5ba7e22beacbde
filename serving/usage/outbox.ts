import { ProblemError } from "../../shared/protocol/errors.ts";
import {
  MAX_RECORDS,
  signUsage,
  USAGE_HEADERS,
  type UsageRecord,
  untakenSchema,
} from "../../shared/protocol/usage-report.ts";
import { log } from "../log.ts";
import { type Entry, Journal } from "./journal.ts";

/** Counts of running requests are written down as often. */
const WRITE_MS = 1000;
/** An ended request is reported so soon, with others that end meanwhile. */
const SEND_MS = 50;
/** Waits between tries that fail. */
const RETRY_MS = { first: 1000, most: 60_000 };
const REQUEST_MS = 10_000;
/** Reports that are kept; the ledger gives back what is never reported, so losing more than these loses the provider's money only. */
const MAX_KEPT = 100_000;

/** Counts of a running request. */
export interface Meter {
  addPrompt(tokens: number): void;
  addCompletion(tokens: number): void;
  /** Nothing more will be counted. */
  end(): void;
}

export interface OutboxOptions {
  /** Where what isn't reported yet is kept. */
  readonly path: string;
  /** The Worker's route. */
  readonly url: string;
  readonly secret: string;
}

/** Reports to the Worker what every request used, however it ended: again until it is taken, also after a restart. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #journal: Journal;
  /** Requests that run, were used, or aren't reported yet, by id. */
  readonly #entries: Map<string, Entry>;
  readonly #changed = new Set<string>();
  readonly #writing: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #retry = RETRY_MS.first;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#journal = new Journal(options.path);
    // Whoever wrote of a request that hadn't ended is dead: what it had counted counts.
    const left = [...this.#journal.read().values()].map(
      (entry): Entry => (entry.state === "running" ? { ...entry, state: "ended" } : entry),
    );
    this.#entries = new Map(left.map((entry) => [entry.request, entry]));
    this.#journal.replace(left);
    this.#writing = setInterval(() => this.#write(), WRITE_MS).unref();
    if (this.waiting > 0) this.#schedule(0);
  }

  /** Reports that wait. */
  get waiting(): number {
    return [...this.#entries.values()].filter(isWaiting).length;
  }

  /** Whether a ticket's request was begun before. */
  has(request: string): boolean {
    return this.#entries.has(request);
  }

  /**
   * Begins to count.
   * @param expires of its ticket, unix seconds
   * @throws ProblemError 503 if it can't be written down: what isn't known after a crash is not begun
   */
  open(request: string, tenant: string, expires: number): Meter {
    const entry: Entry = { request, tenant, promptTokens: 0, completionTokens: 0, expires, state: "running" };
    if (!this.#append([entry])) {
      throw new ProblemError("The server can't take requests", "It has no room to write; try again.", { status: 503 });
    }
    this.#entries.set(request, entry);
    const change = (counts: Partial<Entry>): void => {
      if (entry.state !== "running") return;
      Object.assign(entry, counts);
      this.#changed.add(request);
    };
    return {
      addPrompt: (tokens) => change({ promptTokens: entry.promptTokens + tokens }),
      addCompletion: (tokens) => change({ completionTokens: entry.completionTokens + tokens }),
      end: () => {
        change({ state: "ended" });
        this.#write();
        this.#schedule(SEND_MS);
      },
    };
  }

  /** Tries once more to report everything, and stops. What isn't taken stays on disk. */
  async close(): Promise<void> {
    clearInterval(this.#writing);
    clearTimeout(this.#timer);
    await this.#sending;
    this.#write();
    if (this.waiting > 0) await this.#send().catch(() => {});
  }

  #write(): void {
    const entries = [...this.#changed].flatMap((request) => this.#entries.get(request) ?? []);
    if (this.#append(entries)) this.#changed.clear();
  }

  /** Whether it could be written: a disk may be full. */
  #append(entries: readonly Entry[]): boolean {
    try {
      this.#journal.append(entries);
      return true;
    } catch (error) {
      log("usage not written", { why: (error as NodeJS.ErrnoException).code });
      return false;
    }
  }

  #schedule(delay: number): void {
    if (this.#timer || this.#sending) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#sending = this.#sendAll().finally(() => {
        this.#sending = undefined;
        if (this.waiting > 0) this.#schedule(this.#retry);
      });
    }, delay).unref();
  }

  async #sendAll(): Promise<void> {
    try {
      await this.#send();
      this.#retry = RETRY_MS.first;
    } catch (error) {
      log("usage not reported", { waiting: this.waiting, why: (error as Error).message });
      this.#retry = Math.min(2 * this.#retry, RETRY_MS.most);
      this.#forgetOldest();
      this.#compact();
    }
  }

  /** Reports everything once. @throws Error if the Worker can't be reached, or at the end if it didn't take some of it */
  async #send(): Promise<void> {
    const kept = new Set<string>();
    for (;;) {
      const waiting = [...this.#entries.values()].filter((entry) => isWaiting(entry) && !kept.has(entry.request));
      const records = waiting.slice(0, MAX_RECORDS);
      if (records.length === 0) break;
      const untaken = await this.#post(records.map(recordOf));
      for (const { request } of records) {
        if (untaken.includes(request)) kept.add(request);
        else this.#entries.get(request)!.state = "reported";
      }
    }
    const now = Date.now() / 1000;
    for (const { request, state, expires } of this.#entries.values()) {
      if (state === "reported" && expires < now) this.#entries.delete(request);
    }
    this.#compact();
    if (kept.size > 0) throw new Error(`the Worker didn't take ${kept.size} records`);
  }

  /** Of every request one line is enough. */
  #compact(): void {
    try {
      this.#journal.replace([...this.#entries.values()]);
    } catch (error) {
      log("usage not written", { why: (error as NodeJS.ErrnoException).code });
    }
  }

  /** @returns the requests whose records weren't taken */
  async #post(records: readonly UsageRecord[]): Promise<readonly string[]> {
    const body = JSON.stringify({ records });
    const timestamp = Math.floor(Date.now() / 1000);
    const response = await fetch(this.#options.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        [USAGE_HEADERS.timestamp]: String(timestamp),
        [USAGE_HEADERS.signature]: await signUsage(body, timestamp, this.#options.secret),
      },
      body,
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    if (response.ok) {
      await response.body?.cancel();
      return [];
    }
    const { data } = untakenSchema.safeParse(await response.json().catch(() => null));
    if (response.status !== 503 || !data) throw new Error(`the Worker answered ${response.status}`);
    return data.untaken;
  }

  #forgetOldest(): void {
    const waiting = [...this.#entries.values()].filter(isWaiting);
    const lost = waiting.slice(0, Math.max(0, waiting.length - MAX_KEPT));
    for (const { request } of lost) this.#entries.delete(request);
    if (lost.length > 0) log("usage lost", { records: lost.length });
  }
}

function isWaiting({ state }: Entry): boolean {
  return state === "ended";
}

function recordOf({ request, tenant, promptTokens, completionTokens }: Entry): UsageRecord {
  return { request, tenant, promptTokens, completionTokens };
}
