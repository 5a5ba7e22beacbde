import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const NAME = "workerd";

/**
 * Notes the workerd that this process has started, for `endOrphan` of the next one, and ends it with this process where that has the time.
 *
 * @returns a function that forgets it
 */
export async function noteWorkerd(path: string): Promise<() => void> {
  const mine = (await processes()).find(({ parent, command }) => parent === process.pid && command.endsWith(NAME));
  await writeFile(path, String(mine?.pid ?? ""));
  const end = () => mine && process.kill(mine.pid, "SIGKILL");
  process.once("exit", end);
  return () => process.off("exit", end);
}

/** Ends the workerd that a killed provider has left behind: it would keep the port. */
export async function endOrphan(path: string): Promise<void> {
  const noted = Number(await readFile(path, "utf8").catch(() => ""));
  const all = noted > 0 ? await processes() : [];
  const left = all.find(({ pid, command }) => pid === noted && command.endsWith(NAME));
  // One whose parent is a running Node belongs to a provider that lives.
  const owner = left && all.find(({ pid }) => pid === left.parent);
  if (left && !owner?.command.endsWith("node")) process.kill(left.pid, "SIGKILL");
}

/** All processes; none where there is no ps. */
async function processes(): Promise<{ pid: number; parent: number; command: string }[]> {
  const listed = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid=,comm="]).catch(() => ({ stdout: "" }));
  return listed.stdout
    .trim()
    .split("\n")
    .map((line) => {
      const [pid, parent, ...command] = line.trim().split(/\s+/);
      return { pid: Number(pid), parent: Number(parent), command: command.join(" ") };
    });
}
