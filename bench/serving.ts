/** How fast a serving process's engine is, alone and against another program that serves one request after the other. */
import { OwnBackend } from "../serving/engine/own-backend.ts";
import { PromptCache } from "../serving/prompts/prompt-cache.ts";
import type { Value } from "../shared/graph/engine.ts";
import { Draws, seededRandom } from "../shared/protocol/random.ts";
import type { Prefix } from "../shared/training/decoder.ts";
import { inTurn, ratio, type Spread, type Subject, spread, timed } from "./measure.ts";
import { randomGpt2, VOCABULARY } from "./models.ts";
import { startPeer } from "./peer.ts";
import { randomRows } from "./steps.ts";

export interface ServingOptions {
  readonly models: string;
  readonly threads: number;
  readonly runs: number;
  readonly peer?: string;
}

const LAYERS = 12;
const P = 100;
const T = 64;
const NEW = 32;
const CLIENTS = 8;
const CURVE = [1, 2, 4, 8, 16, 32];
/** Prompts that are in use at one time. */
const PROMPTS = 64;
const CACHE_BYTES = 1e9;

const signal = new AbortController().signal;
const quiet = { signal, onPrompt: () => {}, onCompletion: () => {} };
const GREEDY = { temperature: 0, topP: 1, seed: undefined, stop: [], logprobs: undefined };

/** Whether a part, by its name, is to be measured, and what takes its figures as they are printed. */
export interface Asked {
  wanted(name: string): boolean;
  keep(result: object): void;
}

export async function serving(options: ServingOptions, { wanted, keep }: Asked): Promise<void> {
  const { models, threads, runs, peer } = options;
  const target = await randomGpt2(models, LAYERS);
  const events = { onStep: () => {}, onFailure: fail };
  const backend = await OwnBackend.open(target, { slots: 32, threads, device: "cpu" }, events);
  const source = {
    nameOf: (index: number) => String(index),
    load: (index: number) => backend.prepare(randomRows(P, index) as Value),
    release: (prefix: Prefix) => backend.release(prefix),
  };
  const prompts = new PromptCache(source, CACHE_BYTES);
  const draws = new Draws(seededRandom(1));
  const text = () => Int32Array.from({ length: T }, () => draws.integer(VOCABULARY));

  const classify = (prompt: number) => prompts.use(prompt, (kept) => backend.ask({ ids: text(), prompt: kept }, quiet));
  const decode = (prompt: number, maxNewTokens = NEW) =>
    prompts.use(prompt, (kept) =>
      backend.complete({ ids: text(), prompt: kept }, { ...GREEDY, maxNewTokens }, 1, 0, () => {}, quiet),
    );
  /** As many clients at one time as there are lists, each of which sends its requests one after the other. */
  const clients = (lists: readonly (readonly number[])[], request: (prompt: number) => Promise<unknown>): Subject => ({
    run: () =>
      timed(() =>
        Promise.all(
          lists.map(async (list) => {
            for (const prompt of list) await request(prompt);
          }),
        ),
      ),
  });
  const each = (count: number) => Array.from({ length: count }, (_, i) => [i]);

  const against = async (name: string, step: string, B: number, subject: Subject) => {
    if (!wanted(`serving, ${name}`)) return;
    const args = Object.entries({ L: LAYERS, B, P, T, N: NEW, threads });
    const flags = args.flatMap(([flag, value]) => [`--${flag}`, String(value)]);
    const other = peer === undefined ? undefined : await startPeer(peer.split(" "), [step, models, ...flags]);
    const [own, theirs] = await inTurn([subject, ...(other ? [other] : [])], runs);
    other?.stop();
    const ratios = theirs && { cpu: ratio(theirs, own!, "cpu"), wall: ratio(theirs, own!, "wall") };
    const milliseconds = { cpu: spread(own!.map(({ cpu }) => cpu)), wall: spread(own!.map(({ wall }) => wall)) };
    console.log(`serving, ${name}: ${figure(milliseconds.cpu)} ms of CPU, ${figure(milliseconds.wall)} ms`);
    if (ratios) console.log(`  ${step} takes ${figure(ratios.cpu)} times the CPU time, ${figure(ratios.wall)} as long`);
    keep({ name: `serving, ${name}`, sizes: { L: LAYERS, B, P, T, N: NEW, threads }, milliseconds, ratios });
  };
  await against("classify", "serve-classify", CLIENTS, clients(each(CLIENTS), classify));
  await against("decode", "serve-generate", CLIENTS, clients(each(CLIENTS), decode));
  await against(
    "first token",
    "serve-first",
    1,
    clients([[0]], (prompt) => decode(prompt, 1)),
  );
  if (wanted("serving, prompts")) await many(clients, { classify, decode }, runs, keep);
  for (const count of wanted("serving, curve") ? CURVE : []) {
    const [classified, decoded] = await inTurn([clients(each(count), classify), clients(each(count), decode)], runs);
    const rate = (times: typeof classified) => spread(times!.map(({ wall }) => (1000 * count) / wall));
    const rates = { classify: rate(classified), decode: rate(decoded) };
    console.log(
      `serving, ${count} clients: ${figure(rates.classify)} texts and ${figure(rates.decode)} answers of ${NEW} tokens a second`,
    );
    keep({ name: "serving, curve", sizes: { L: LAYERS, clients: count, P, T, N: NEW, threads }, perSecond: rates });
  }
  await backend.close();
}

type Clients = (lists: readonly (readonly number[])[], request: (prompt: number) => Promise<unknown>) => Subject;

/** Many prompts, the k-th used in proportion to 1/k (Zipf 1949), against one. */
async function many(
  clients: Clients,
  { classify, decode }: Readonly<Record<"classify" | "decode", (prompt: number) => Promise<unknown>>>,
  runs: number,
  keep: (result: object) => void,
): Promise<void> {
  const draws = new Draws(seededRandom(2));
  const weights = Array.from({ length: PROMPTS }, (_, i) => 1 / (i + 1));
  const sum = weights.reduce((a, b) => a + b, 0);
  const zipf = () => {
    let rest = draws.uniform53() * sum;
    return Math.max(
      0,
      weights.findIndex((weight) => {
        rest -= weight;
        return rest < 0;
      }),
    );
  };
  const lists = (prompt: () => number) => Array.from({ length: CLIENTS }, () => [prompt(), prompt()]);
  // All of them are ready.
  for (let prompt = 0; prompt < PROMPTS; prompt++) await classify(prompt);
  const [one, other] = await inTurn(
    [
      clients(
        lists(() => 0),
        decode,
      ),
      clients(lists(zipf), decode),
    ],
    runs,
  );
  const throughput = ratio(one!, other!, "wall");
  console.log(`serving, ${PROMPTS} prompts by Zipf: ${figure(throughput)} of the throughput with one prompt`);
  keep({
    name: "serving, prompts",
    sizes: { L: LAYERS, prompts: PROMPTS, clients: CLIENTS, P, T, N: NEW },
    throughput,
  });
}

function figure({ median, low, high }: Spread): string {
  return `${median.toPrecision(3)} (${low.toPrecision(3)}-${high.toPrecision(3)})`;
}

function fail(error: Error): never {
  throw error;
}
