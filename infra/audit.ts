/**
 * `npm run audit`: known weaknesses of the installed packages, from the registry's list. Exits 1 for one that is high or critical. A registry that has no
 * such list, or can't be reached, is no failure, but is said: a build must not depend on it.
 */
import { spawnSync } from "node:child_process";
import { z } from "zod";

const SERIOUS = ["high", "critical"];
const reportSchema = z.object({
  vulnerabilities: z.record(z.string(), z.object({ severity: z.string(), range: z.string() })),
});
const refusalSchema = z.object({ message: z.string() });

const args = ["audit", "--json", "--fetch-retries=0", "--fetch-timeout=20000"];
const { stdout } = spawnSync("npm", args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
process.exitCode = tell(parse(stdout));

/** @returns the exit code */
function tell(answer: unknown): number {
  const report = reportSchema.safeParse(answer);
  if (!report.success) {
    const refusal = refusalSchema.safeParse(answer).data?.message.replace(/ - .*/, "") ?? "no answer";
    say(`The dependencies were NOT audited: the registry gave no list of weaknesses (${refusal}).`);
    return 0;
  }
  const found = Object.entries(report.data.vulnerabilities);
  for (const [name, { severity, range }] of found) say(`${severity}: ${name} ${range}`);
  const serious = found.filter(([, { severity }]) => SERIOUS.includes(severity)).length;
  say(`The dependencies were audited: ${found.length} packages with known weaknesses, ${serious} of them serious.`);
  return serious > 0 ? 1 : 0;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
