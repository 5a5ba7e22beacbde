/** A tuning step in a browser's tab, in turn with the same step in Node with one thread; and how long tuning keeps the page's own thread. */
import { availableParallelism } from "node:os";
import { Engine } from "../../shared/graph/engine.ts";
import { GraphEngine } from "../../shared/graph/graph-engine.ts";
import { figure, inTurn, ratio, type Subject, spread, subject } from "../measure.ts";
import { randomGpt2 } from "../models.ts";
import { privateStep, type Size, type Step, tuningStep } from "../steps.ts";
import { openTabBrowser, type TabPort } from "./page.ts";
import { longestTask } from "./responsive.ts";

/** Layers of the student: nothing larger is tuned in a tab. */
const LAYERS = 4;
const SIZE: Size = { B: 8, P: 100, T: 32 };
/** As many as the console takes. */
const MOST_THREADS = 8;

export interface TabOptions {
  readonly models: string;
  readonly runs: number;
}

/** Times steps, and the page while it tunes; those that are wanted. */
export async function tab(
  options: TabOptions,
  asked: { readonly wanted: (name: string) => boolean; readonly keep: (result: object) => void },
): Promise<void> {
  const { model } = await randomGpt2(options.models, LAYERS);
  const steps = { "tab, tuning": tuningStep, "tab, private tuning": privateStep };
  for (const [name, step] of Object.entries(steps)) {
    if (asked.wanted(name)) await timeStep(name, step(model, SIZE), options, asked.keep);
  }
  if (asked.wanted("tab, page")) {
    const page = await longestTask();
    console.log(
      `tab, page: of ${page.steps} steps in ${(page.milliseconds / 1000).toFixed(1)} s the longest task of the page's own thread took ` +
        `${page.longest.toFixed(0)} ms by the clock, ${page.longestCpu.toFixed(0)} of CPU; ${page.over50} took more than 50; between two frames ${page.longestGap.toFixed(0)} ms at most`,
    );
    asked.keep({ name: "tab, page", page });
  }
}

async function timeStep(name: string, step: Step, { runs }: TabOptions, keep: (result: object) => void): Promise<void> {
  const threads = Math.max(2, Math.min(availableParallelism(), MOST_THREADS));
  const browser = await openTabBrowser();
  const node = new Engine({ threads: 1 });
  const ports = [await browser.port(1), await browser.port(threads)];
  const subjects = [await inNode(node, step), ...(await Promise.all(ports.map((port) => inTab(port, step))))];
  const [own, one, several] = await inTurn(subjects, runs);
  await node.close();
  await browser.close();
  const ratios = {
    one: { cpu: ratio(one!, own!, "cpu"), wall: ratio(one!, own!, "wall") },
    several: { wall: ratio(several!, own!, "wall") },
  };
  const milliseconds = { node: spread(own!.map(({ wall }) => wall)), tab: spread(one!.map(({ wall }) => wall)) };
  console.log(`${name}: ${figure(milliseconds.tab)} ms in a tab with one thread, ${figure(milliseconds.node)} in Node`);
  console.log(`  ${figure(ratios.one.wall)} times as long by the clock, ${figure(ratios.one.cpu)} by CPU time`);
  console.log(`  with ${threads} threads ${figure(ratios.several.wall)} times as long as Node with one, by the clock`);
  keep({ name, sizes: { L: LAYERS, ...SIZE, threads }, milliseconds, ratios });
}

async function inNode(engine: Engine, { ours, feeds, variables, batches }: Step): Promise<Subject> {
  await engine.set(variables);
  return subject(await engine.load(ours), feeds, batches);
}

async function inTab(port: TabPort, { ours, feeds, variables, batches = 1 }: Step): Promise<Subject> {
  const engine = new GraphEngine(port);
  await engine.set(variables);
  const session = await engine.load(ours);
  return {
    async run() {
      let [wall, cpu] = [0, 0];
      for (let i = 0; i < batches; i++) {
        await session.run(feeds);
        wall += port.last.wall;
        cpu += port.last.cpu;
      }
      return { wall, cpu };
    },
  };
}
