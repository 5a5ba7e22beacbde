/** Runs the command line with the arguments given, and prints the most memory that it took, in bytes, as a line of its own. */
import { readFileSync } from "node:fs";
import { useHugePages } from "../client/huge-pages.ts";
import { runProgram } from "../client/program.ts";

useHugePages();
process.exitCode = await runProgram(process.argv.slice(2), process.stderr, process.stdout);
const kilobytes = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1];
process.stdout.write(`peak ${1024 * Number(kilobytes)}\n`);
