/** Runs the command line with the arguments given, and prints the most memory that it took, in bytes, as a line of its own. */
import { useHugePages } from "../client/huge-pages.ts";
import { runProgram } from "../client/program.ts";
import { peakMemory } from "./measure.ts";

useHugePages();
process.exitCode = await runProgram(process.argv.slice(2), process.stderr, process.stdout);
process.stdout.write(`peak ${peakMemory()}\n`);
