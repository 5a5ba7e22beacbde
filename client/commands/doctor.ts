import { constants } from "node:fs";
import { access, mkdir, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import type { Command } from "commander";
import { checkDevice } from "../../shared/graph/device.ts";
import { type Device, Engine } from "../../shared/graph/engine.ts";
import { add } from "../../shared/graph/operators/elementwise.ts";
import { input } from "../../shared/graph/tensor.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { softpostHome } from "../home.ts";
import { tooOld } from "../node-version.ts";
import { bytesOf, otherPlatforms, removeOtherPlatforms } from "../other-platforms.ts";
import type { Io } from "../output.ts";
import { tableLines } from "../table.ts";
import { bytes, duration } from "../words.ts";

/** What was looked at: `bad` is to be mended, `none` is missing without harm. */
interface Finding {
  readonly what: string;
  readonly state: "ok" | "none" | "bad";
  readonly says: string;
}

/** With less than this nothing of a model fits beside a download. */
const LITTLE_DISK = 1e9;
/** A clock that is off by more makes keys and signatures fail. */
const MAX_SKEW_MS = 60_000;

const EXAMPLES = `
Examples:
  softpost doctor
  softpost doctor --remove-other-platforms     # two dependencies bring the binaries of all platforms: keeps those of this one

Ends with 1 if something is to be mended. Without that option nothing is changed, and nothing leaves the machine but requests to your provider. What was removed
comes back when the package is installed again.

Next: softpost students (what the provider has)`;

/** `softpost doctor`: whether this machine and its provider are as softpost needs them. */
export function registerDoctor(program: Command, io: Io): void {
  withConnection(program.command("doctor"))
    .description("look whether this machine, and the provider, are as softpost needs them")
    .option("--remove-other-platforms", "remove the binaries that only other platforms need from this installation")
    .addHelpText("after", EXAMPLES)
    .action((options: ConnectionOptions & { removeOtherPlatforms?: boolean }) =>
      options.removeOtherPlatforms ? remove(io) : run(options, io),
    );
}

async function remove(io: Io): Promise<void> {
  const freed = await removeOtherPlatforms();
  const { platform, arch } = process;
  io.result({ freed }, `${bytes(freed)} are free; this installation now runs on ${platform} ${arch} only.`);
}

async function run(options: ConnectionOptions, io: Io): Promise<void> {
  const findings = [
    nodeVersion(),
    await attempt("runtime", () => runtime(io.threads)),
    memory(),
    await attempt("device", () => deviceOf(io.device)),
    await attempt("home", home),
    await attempt("size", size),
    ...(await provider(options)),
  ];
  const marks = { ok: "ok", none: "-", bad: "MEND" };
  const table = tableLines(findings.map(({ what, state, says }) => [what, marks[state], says]));
  const bad = findings.filter(({ state }) => state === "bad");
  if (bad.length > 0 && !io.json) for (const line of table) io.message(line);
  if (bad.length > 0) {
    const faults = bad.map(({ what, says }) => ({ at: what, message: says }));
    throw new ProblemError("Something is to be mended", "softpost can't do all that it should here.", { faults });
  }
  io.result({ findings }, table.join("\n"));
}

async function attempt(what: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    return { what, state: "bad", says: error instanceof ProblemError ? error.detail : String(error) };
  }
}

function nodeVersion(): Finding {
  const old = tooOld(process.versions.node);
  return { what: "node", state: old ? "bad" : "ok", says: old ?? process.versions.node };
}

/** Computes something, which loads ONNX Runtime. */
async function runtime(threads = availableParallelism()): Promise<Finding> {
  const engine = new Engine({ threads });
  try {
    const x = input("x", "float32", [1]);
    const session = await engine.load({ outputs: { sum: add(x, x) } });
    const { sum } = await session.run({ x: { shape: [1], data: Float32Array.of(21) } });
    if (sum!.data[0] !== 42) return { what: "runtime", state: "bad", says: "ONNX Runtime computes wrongly" };
    return {
      what: "runtime",
      state: "ok",
      says: `ONNX Runtime computes, with ${threads} of ${availableParallelism()} cores`,
    };
  } finally {
    await engine.close();
  }
}

function memory(): Finding {
  const says = `${bytes(process.availableMemory())} free of ${bytes(totalmem())}; a model takes 4 bytes a weight and half as much again to tune`;
  return { what: "memory", state: "ok", says };
}

/** The device that was asked for. Others aren't looked for: drivers that aren't there complain at length. */
async function deviceOf(wanted: Device): Promise<Finding> {
  if (wanted === "cpu")
    return { what: "device", state: "ok", says: "the CPU; --device cuda or webgpu looks for a GPU" };
  await checkDevice(wanted);
  return { what: "device", state: "ok", says: `${wanted} computes` };
}

async function home(): Promise<Finding> {
  const folder = softpostHome();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await access(folder, constants.W_OK);
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const says = `${folder}: ledgers and digests; ${bytes(free)} free`;
  return { what: "home", state: free < LITTLE_DISK ? "bad" : "ok", says };
}

async function size(): Promise<Finding> {
  const surplus = bytesOf(await otherPlatforms());
  const says =
    surplus > 0
      ? `${bytes(surplus)} of the installation are for other platforms; softpost doctor --remove-other-platforms`
      : "nothing is installed for other platforms";
  return { what: "size", state: "ok", says };
}

/** The provider's address, the key and the clock; nothing where no provider is configured. */
async function provider(options: ConnectionOptions): Promise<Finding[]> {
  let api: Api;
  try {
    api = new Api(await connect(options));
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return [{ what: "provider", state: "none", says: error.detail }];
  }
  const { url } = api.connection;
  const [read, models] = [await ask(api, "/v1/budget"), await ask(api, "/v1/models")];
  const failed = [read, models].find(({ problem }) => problem !== undefined && problem.status !== FORBIDDEN);
  if (failed) return [{ what: "provider", state: "bad", says: `${url}: ${failed.problem!.message}` }];
  const may = [...(read.problem ? [] : ["read"]), ...(models.problem ? [] : ["ask models"])];
  const key: Finding =
    may.length > 0
      ? { what: "key", state: "ok", says: `may ${may.join(" and ")}` }
      : { what: "key", state: "bad", says: "may neither read nor ask models" };
  const date = read.date ?? models.date;
  return [{ what: "provider", state: "ok", says: url }, key, ...(date === null ? [] : [clock(date)])];
}

/** The status of a key whose scopes don't go so far. */
const FORBIDDEN = 403;

async function ask(api: Api, path: string): Promise<{ readonly date: string | null; readonly problem?: ProblemError }> {
  try {
    const response = await api.request(path);
    await response.body?.cancel();
    return { date: response.headers.get("date") };
  } catch (problem) {
    if (!(problem instanceof ProblemError)) throw problem;
    return { date: null, problem };
  }
}

function clock(date: string): Finding {
  const skew = Math.abs(Date.now() - Date.parse(date));
  const off = skew > MAX_SKEW_MS;
  return {
    what: "clock",
    state: off ? "bad" : "ok",
    says: off ? `is ${duration(skew / 1000)} off the provider's` : "agrees with the provider's",
  };
}
