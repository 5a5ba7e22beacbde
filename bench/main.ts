/** `npm run bench`: softpost's steps in turn with the naive layout, ONNX Runtime's own rate and, if there is one, another program. */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { useHugePages } from "../client/huge-pages.ts";
import { wholeNumber } from "../client/options.ts";
import { Engine } from "../shared/graph/engine.ts";
import { BENCHMARKS, type Benchmark } from "./benchmarks.ts";
import { curves } from "./curves.ts";
import { productOperations } from "./flops.ts";
import { largeProducts } from "./gemm.ts";
import { llamaCpp } from "./llama-cpp.ts";
import { figure, inTurn, ratio, type Spread, spread, type Time } from "./measure.ts";
import { memory } from "./memory.ts";
import { startPeer } from "./peer.ts";
import { serving } from "./serving.ts";
import { tab } from "./tab/tab.ts";
import { threads } from "./threads.ts";
import { traffic } from "./traffic.ts";
import { wholeTransfer } from "./whole-transfer.ts";

interface Options {
  readonly runs: number;
  readonly threads: number;
  readonly models: string;
  readonly only: readonly string[];
  readonly peer?: string;
  readonly llamaCpp?: string;
}

const HERE = import.meta.dirname;
const program = new Command("npm run bench --")
  .description("Times softpost's steps in turn with others, and appends the figures to bench/history.jsonl.")
  .option("--runs <n>", "timed runs of each", wholeNumber(1), 7)
  .option("--threads <n>", "CPU threads", wholeNumber(1), 1)
  .option("--models <dir>", "where the random models are, or are made", join(HERE, ".models"))
  .option(
    "--only <names...>",
    "benchmarks whose names begin so; serving for inference, memory for what commands say that they need against what they take, llama.cpp for decoding against it, curves for how time grows, threads for what more of them gain, whole for 5 000 steps of a transfer as a sum, tab for a browser's, traffic for what a step moves in memory",
    [],
  )
  .option("--llama-cpp <dir>", "where node-llama-cpp is installed (docs/performance.md)")
  .option("--peer <command>", "a program that does the same steps in turn with ours (docs/performance.md)");

useHugePages();
const options = program.parse().opts<Options>();
mkdirSync(options.models, { recursive: true });
const wanted = (name: string) => options.only.length === 0 || options.only.some((start) => name.startsWith(start));
for (const benchmark of BENCHMARKS.filter(({ name }) => wanted(name))) await run(benchmark);
const { only } = options;
if (only.length === 0 || only.some((name) => name.startsWith("serving"))) await serving(options, { wanted, keep });
if (only.length === 0 || only.some((name) => name.startsWith("tab"))) await tab(options, { wanted, keep });
if (only.some((name) => name.startsWith("memory"))) await memory(options.models, only, { wanted, keep });
if (only.some((name) => name.startsWith("llama.cpp"))) await llamaCpp(options, { wanted, keep });
if (wanted("whole transfer")) await wholeTransfer(options, { keep });
if (wanted("curves")) await curves(options.models, options.threads, options.runs);
if (wanted("threads")) await threads(options.models, Math.max(2, options.threads), options.runs);
if (wanted("traffic")) traffic();

async function run(benchmark: Benchmark): Promise<void> {
  const { name, size, layers } = benchmark;
  const engine = new Engine({ threads: options.threads });
  const { ours, naive, graph, batches = 1 } = await benchmark.load(engine, options.models);
  const products = await largeProducts(engine);
  const command = options.peer?.split(" ");
  const sizes = { L: layers, ...size, threads: options.threads };
  const args = Object.entries(sizes).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  const peers = command
    ? await Promise.all(benchmark.peers.map((step) => startPeer(command, [step, options.models, ...args])))
    : [];
  const times = await inTurn([ours, products.subject, ...(naive ? [naive] : []), ...peers], options.runs);
  for (const peer of peers) peer.stop();
  await engine.close();

  const [own, large, ...others] = times as [Time[], Time[], ...Time[][]];
  const names = [...(naive ? ["naive layout"] : []), ...(command ? benchmark.peers : [])];
  const ratios = Object.fromEntries(
    others.map((other, i) => [names[i]!, { cpu: ratio(other, own, "cpu"), wall: ratio(other, own, "wall") }]),
  );
  const part = { ...size, B: size.B / batches };
  const work = graph && (batches * productOperations(graph, part)) / products.operations;
  const gemm = work === undefined ? undefined : spread(large.map(({ cpu }, i) => (work * cpu) / own[i]!.cpu));
  const milliseconds = { cpu: spread(own.map(({ cpu }) => cpu)), wall: spread(own.map(({ wall }) => wall)) };
  report(name, milliseconds, ratios, gemm);
  keep({ name, sizes, milliseconds, ratios, gemm });
}

function report(
  name: string,
  milliseconds: { cpu: Spread; wall: Spread },
  ratios: Readonly<Record<string, { cpu: Spread; wall: Spread }>>,
  gemm: Spread | undefined,
): void {
  console.log(`${name}: ${figure(milliseconds.cpu)} ms of CPU, ${figure(milliseconds.wall)} ms`);
  for (const [other, { cpu, wall }] of Object.entries(ratios)) {
    console.log(`  ${other} takes ${figure(cpu)} times the CPU time, ${figure(wall)} times as long`);
  }
  if (gemm) console.log(`  its matrix products alone would take ${figure(gemm)} of it at the rate of a large one`);
}

function keep(result: object): void {
  const git = (...args: string[]) => execFileSync("git", args, { cwd: HERE, encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  const line = {
    date,
    commit: git("rev-parse", "--short", "HEAD"),
    cpu: cpus()[0]?.model,
    runs: options.runs,
    ...result,
  };
  appendFileSync(join(HERE, "history.jsonl"), `${JSON.stringify(line)}\n`);
}
