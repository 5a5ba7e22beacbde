import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";

/**
 * The name under which a private run is charged. It is kept beside the run's state, so a resumed run has the name that it began
 * with, and is random, so that a run that starts anew is another one.
 */
export function runIdOf(statePath: string, resume: boolean): string {
  const path = idPath(statePath);
  if (resume && existsSync(path)) return readFileSync(path, "utf8");
  const id = randomUUID();
  writeFileSync(path, id, { mode: 0o600 });
  return id;
}

/** To be called when the run is finished. */
export function forgetRunId(statePath: string): void {
  rmSync(idPath(statePath), { force: true });
}

/** Whether a run was given a name, so that its resumption is not charged. */
export function isCharged(statePath: string): boolean {
  return existsSync(idPath(statePath));
}

const idPath = (statePath: string) => `${statePath}.run-id`;
