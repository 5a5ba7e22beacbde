/** One thing that is wrong with an input: where, and what. */
export interface Fault {
  /** Where it is: a JSON pointer, a file with a line (`train.jsonl:12`), a tensor's name or a flag. */
  readonly at: string;
  /** What is wrong and what would be right. */
  readonly message: string;
}

interface Details {
  /** HTTP status (RFC 9457); 4xx is the caller's fault, 5xx ours. */
  readonly status?: number;
  /** Every fault of the input, not just the first. */
  readonly faults?: readonly Fault[];
  readonly cause?: unknown;
  /** With 429 and 503: seconds after which it may work. */
  readonly retryAfter?: number | undefined;
}

/**
 * The one error type of softpost. It is converted at one place each: to a terminal message and an exit code by
 * the command line, to `application/problem+json` by the edge. Any other error that gets there is a bug.
 */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  readonly title: string;
  readonly detail: string;
  /** The title in small letters and dashes: stable, for programs (`the-provider-can-t-be-reached`). */
  readonly code: string;
  readonly status: number;
  readonly faults: readonly Fault[];
  readonly retryAfter: number | undefined;

  /**
   * @param title what failed, short and the same for every case of its kind ("The safetensors file is not valid")
   * @param detail what was wrong here, where, and what to do about it
   */
  constructor(title: string, detail: string, { status = 400, faults = [], cause, retryAfter }: Details = {}) {
    super(`${title}: ${detail}`, cause === undefined ? undefined : { cause });
    this.title = title;
    this.code = codeOf(title);
    this.detail = detail;
    this.status = status;
    this.faults = faults;
    this.retryAfter = retryAfter;
  }
}

function codeOf(title: string): string {
  return title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
}
