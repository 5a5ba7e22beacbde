/** Runs the program of a batch job with the arguments given, and prints the most memory that it took, in bytes, as a line of its own. */
import { peakMemory } from "./measure.ts";

process.on("exit", () => process.stdout.write(`peak ${peakMemory()}\n`));
await import("../batch/main.ts");
