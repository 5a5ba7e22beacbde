/**
 * The program of a batch job: `transfer | distill | predict KEY`, where KEY is the spec's in the bucket. What it needs to know
 * otherwise is in its environment (environment.ts).
 */
import { runDistill } from "./distill.ts";
import { readEnvironment } from "./environment.ts";
import { runPredict } from "./predict.ts";
import { runJob } from "./run.ts";
import { stopSignal } from "./stop.ts";
import { runTransfer } from "./transfer.ts";

const [kind = "", key = ""] = process.argv.slice(2);
const handlers = { transfer: runTransfer, distill: runDistill, predict: runPredict };
process.exitCode = await runJob(kind, key, readEnvironment(process.env), handlers, stopSignal());
