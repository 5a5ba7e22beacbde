/**
 * The program of a batch job: `transfer | distill | predict KEY`, where KEY is the spec's in the bucket. What it needs to know
 * otherwise is in its environment (environment.ts). `device` alone says whether its device can be used: a new image's first test.
 */

import { useProxies } from "../shared/data/proxy.ts";
import { readDevice, readEnvironment } from "./environment.ts";
import { runDistill } from "./jobs/distill.ts";
import { runPredict } from "./jobs/predict.ts";
import { runTransfer } from "./jobs/transfer.ts";
import { runJob } from "./lifecycle/run-process.ts";
import { stopSignal } from "./lifecycle/stop-signal.ts";
import { tryDevice } from "./try-device.ts";

const [kind = "", key = ""] = process.argv.slice(2);
const handlers = { transfer: runTransfer, distill: runDistill, predict: runPredict };
await useProxies();
process.exitCode =
  kind === "device"
    ? await tryDevice(readDevice(process.env))
    : await runJob(kind, key, readEnvironment(process.env), handlers, stopSignal());
