import { ProblemError } from "../shared/protocol/errors.ts";
import { holdFileLock } from "./file-lock.ts";

/**
 * Keeps a run's place to itself, until it is disposed of or the process ends: two runs in one place would spoil each other's state.
 *
 * @param what the place, as the user knows it
 * @throws ProblemError naming the process that has it
 */
export async function holdRun(lock: string, what: string): Promise<Disposable> {
  const held = await holdFileLock(lock);
  if (typeof held !== "number") return held;
  const who = held === process.pid ? "This process" : `Another process (${held})`;
  const detail = `${who} works on ${what} already. Wait for it or name another place; if it isn't softpost, remove ${lock}.`;
  throw new ProblemError("The run is under way", detail, { status: 409 });
}
