import type { Register } from "../ledger/register.ts";
import { isRecent } from "../ledger/times.ts";
import { putBack, takeCounted } from "./count.ts";

/** How often an instance adds what it has counted to what all have. */
const FLUSH_MS = 5000;

let flushed = 0;

/** Adds what this instance has counted to what all have, unless it has done so a moment ago. Where that fails, it is tried again. */
export async function flushMetrics(register: DurableObjectStub<Register>, now = false): Promise<void> {
  if (!now && isRecent(flushed, FLUSH_MS, Date.now())) return;
  flushed = Date.now();
  const taken = takeCounted();
  if (taken.length === 0) return;
  try {
    await register.count(taken);
  } catch {
    putBack(taken);
  }
}
