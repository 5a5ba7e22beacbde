import {
  constants,
  copyFileSync,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive } from "../shared/data/owner.ts";
import { ProblemError } from "../shared/protocol/errors.ts";

/** How long to wait for another process; what is done under the lock takes seconds at most. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 25;
/** Removing a dead owner's lock takes a millisecond: a guard that is older was left by a crash. */
const GUARD_AGE_MS = 10_000;

/** How often a lock is tried for that a dead process left, which others may be removing. */
const TRIES = 40;

/** Locks of this process: one that bears its id and isn't among them is of an earlier one, as in containers. */
const held = new Set<string>();

/**
 * Runs `action` while no other process on this machine runs one under the same lock file. The file holds its owner's process
 * id; a lock whose owner is dead is taken over.
 * @throws ProblemError if the lock stays taken for 30 seconds
 */
export async function withFileLock<T>(path: string, action: () => T | Promise<T>): Promise<T> {
  const own = `${path}.${process.pid}.${crypto.randomUUID()}`;
  writeFileSync(own, String(process.pid), { flag: "wx", mode: 0o600 });
  try {
    const deadline = Date.now() + PATIENCE_MS;
    // A hard link appears at once with its content, or fails because the lock is there.
    while (!take(path, own)) {
      removeIfOwnerIsDead(path, own);
      if (Date.now() > deadline) {
        const detail = `Another softpost process (${ownerOf(path)}) holds ${path}. Wait for it, or remove the file if there is none.`;
        throw new ProblemError("The ledger is in use", detail, { status: 409 });
      }
      await sleep(RETRY_MS);
    }
    try {
      return await action();
    } finally {
      release(path);
    }
  } finally {
    unlinkSync(own);
  }
}

/**
 * Takes a lock, without waiting for its owner, until it is disposed of or the process ends.
 *
 * @returns the id of the process that has it, if that runs
 */
export async function holdFileLock(path: string): Promise<Disposable | number> {
  const own = `${path}.${process.pid}.${crypto.randomUUID()}`;
  writeFileSync(own, String(process.pid), { flag: "wx", mode: 0o600 });
  try {
    for (let tries = 0; !take(path, own); tries++) {
      const owner = ownerOf(path);
      if (owner !== undefined && (hasLock(owner, path) || tries === TRIES)) return owner;
      removeIfOwnerIsDead(path, own);
      await sleep(tries === 0 ? 0 : RETRY_MS);
    }
  } finally {
    unlinkSync(own);
  }
  const end = () => {
    if (held.has(path)) release(path);
    process.off("exit", end);
  };
  process.once("exit", end);
  return { [Symbol.dispose]: end };
}

function take(path: string, own: string): boolean {
  if (!placeOnce(own, path)) return false;
  held.add(path);
  return true;
}

function release(path: string): void {
  held.delete(path);
  rmSync(path, { force: true });
}

const hasLock = (owner: number, path: string) => (owner === process.pid ? held.has(path) : isAlive(owner));

/**
 * Puts a file's content at `to` too, at once, unless something is there.
 *
 * @returns whether it did
 */
export function placeOnce(from: string, to: string): boolean {
  try {
    linkOrCopy(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** exFAT and some network shares have no hard links. */
function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if (!["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw error;
    copyFileSync(from, to, constants.COPYFILE_EXCL);
  }
}

/**
 * Only one process at a time may judge and remove a lock (a second lock guards that), else one could remove the lock that another
 * has just taken over.
 */
function removeIfOwnerIsDead(path: string, own: string): void {
  const guard = `${path}.guard`;
  if (!placeOnce(own, guard)) {
    if (ageOf(guard) > GUARD_AGE_MS) discard(guard, `${own}.old`);
    return;
  }
  try {
    const owner = ownerOf(path);
    if (owner !== undefined && !hasLock(owner, path)) discard(path, `${own}.old`);
  } finally {
    unlinkSync(guard);
  }
}

function discard(path: string, away: string): void {
  try {
    renameSync(path, away);
    unlinkSync(away);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function ageOf(path: string): number {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? Date.now());
}

function ownerOf(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
