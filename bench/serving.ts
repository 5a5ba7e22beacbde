/** How fast a serving process's engine is, alone and against another program that serves one request after the other. */
import { OwnBackend } from "../serving/engine/own-backend.ts";
import { PromptCache } from "../serving/prompts/prompt-cache.ts";
import { Draws, seededRandom } from "../shared/protocol/random.ts";
import type { Prefix } from "../shared/training/decoder.ts";
import { figure, inTurn, ratio, type Subject, spread, type Time, timed } from "./measure.ts";
import { randomGpt2, VOCABULARY } from "./models.ts";
import { startPeer } from "./peer.ts";
import { randomRows } from "./steps.ts";

export interface ServingOptions {
  readonly models: string;
  readonly threads: number;
  readonly runs: number;
  readonly peer?: string;
}

/** Whether a part, by its name, is to be measured, and what takes its figures as they are printed. */
export interface Asked {
  wanted(name: string): boolean;
  keep(result: object): void;
}

const LAYERS = 12;
const P = 100;
const T = 64;
const NEW = 32;
const CLIENTS = 8;
/** A text that others must not wait for. */
const LONG = 900;
const CURVE = [1, 2, 4, 8, 16, 32];
/** Prompts that are in use at one time. */
const PROMPTS = 64;
const CACHE_BYTES = 1e9;

const QUIET = { signal: new AbortController().signal, onPrompt: () => {}, onCompletion: () => {} };
const GREEDY = { temperature: 0, topP: 1, seed: undefined, stop: [], logprobs: undefined };

/** Measures all parts that are wanted. */
export async function serving(options: ServingOptions, asked: Asked): Promise<void> {
  const server = await openServer(options);
  const { classify, decode } = server;
  await against("classify", "serve-classify", CLIENTS, clients(each(CLIENTS), classify), options, asked);
  await against("decode", "serve-generate", CLIENTS, clients(each(CLIENTS), decode), options, asked);
  const first = clients([[0]], (prompt) => decode(prompt, { tokens: 1 }));
  await against("first token", "serve-first", 1, first, options, asked);
  if (asked.wanted("serving, long text")) await longText(server, asked);
  if (asked.wanted("serving, prompts")) await manyPrompts(server, options, asked);
  if (asked.wanted("serving, curve")) await curve(server, options, asked);
  await server.close();
}

type Server = Awaited<ReturnType<typeof openServer>>;

/** Requests of random texts, with the prompt of a number. */
async function openServer({ models, threads }: ServingOptions) {
  const target = await randomGpt2(models, LAYERS);
  const onFailure = (error: Error) => {
    throw error;
  };
  const backend = await OwnBackend.open(target, { slots: 32, threads, device: "cpu" }, { onStep: () => {}, onFailure });
  const source = {
    nameOf: (index: number) => String(index),
    load: (index: number) => backend.prepare(randomRows(P, index)),
    release: (prefix: Prefix) => backend.release(prefix),
  };
  const prompts = new PromptCache(source, CACHE_BYTES);
  const draws = new Draws(seededRandom(1));
  const text = (length = T) => Int32Array.from({ length }, () => draws.integer(VOCABULARY));
  return {
    classify: (prompt: number) => prompts.use(prompt, (kept) => backend.ask({ ids: text(), prompt: kept }, QUIET)),
    decode: (prompt: number, { tokens = NEW, length = T, onToken = () => {} } = {}) =>
      prompts.use(prompt, (kept) => {
        const how = { ...GREEDY, maxNewTokens: tokens };
        return backend.complete({ ids: text(length), prompt: kept }, how, 1, 0, () => {}, {
          ...QUIET,
          onCompletion: onToken,
        });
      }),
    close: () => backend.close(),
  };
}

/** As many clients at one time as there are lists, each of which sends its requests one after the other. */
function clients(lists: readonly (readonly number[])[], request: (prompt: number) => Promise<unknown>): Subject {
  const client = async (list: readonly number[]) => {
    for (const prompt of list) await request(prompt);
  };
  return { run: () => timed(() => Promise.all(lists.map(client))) };
}

const each = (count: number) => Array.from({ length: count }, (_, i) => [i]);

/** Our requests in turn with a peer's, which takes B of them one after the other. */
async function against(
  part: string,
  step: string,
  B: number,
  subject: Subject,
  { models, threads, runs, peer }: ServingOptions,
  { wanted, keep }: Asked,
): Promise<void> {
  const name = `serving, ${part}`;
  if (!wanted(name)) return;
  const sizes = { L: LAYERS, B, P, T, N: NEW, threads };
  const flags = Object.entries(sizes).flatMap(([flag, value]) => [`--${flag}`, String(value)]);
  const other = peer === undefined ? undefined : await startPeer(peer.split(" "), [step, models, ...flags]);
  const [own, theirs] = await inTurn([subject, ...(other ? [other] : [])], runs);
  other?.stop();
  const ratios = theirs && { cpu: ratio(theirs, own!, "cpu"), wall: ratio(theirs, own!, "wall") };
  const milliseconds = { cpu: spread(own!.map(({ cpu }) => cpu)), wall: spread(own!.map(({ wall }) => wall)) };
  console.log(`${name}: ${figure(milliseconds.cpu)} ms of CPU, ${figure(milliseconds.wall)} ms`);
  if (ratios) console.log(`  ${step} takes ${figure(ratios.cpu)} times the CPU time, ${figure(ratios.wall)} as long`);
  keep({ name, sizes, milliseconds, ratios });
}

/** How long an answer waits between two tokens, alone and while a long text is read. */
async function longText({ decode }: Server, { keep }: Asked): Promise<void> {
  const gaps = async (besideLong: boolean) => {
    const times: number[] = [];
    const own = decode(0, { onToken: () => times.push(performance.now()) });
    while (times.length === 0) await new Promise(setImmediate);
    await Promise.all([own, ...(besideLong ? [decode(1, { tokens: 1, length: LONG })] : [])]);
    const all = times.slice(1).map((time, i) => time - times[i]!);
    return { median: spread(all).median, longest: Math.max(...all) };
  };
  await gaps(true);
  const waits = { alone: await gaps(false), beside: await gaps(true) };
  const say = ({ median, longest }: typeof waits.alone) => `${median.toFixed(0)} ms (longest ${longest.toFixed(0)})`;
  console.log(
    `serving, long text: ${say(waits.alone)} between tokens; while ${LONG} tokens are read ${say(waits.beside)}`,
  );
  keep({ name: "serving, long text", sizes: { L: LAYERS, P, T, N: NEW, long: LONG }, milliseconds: waits });
}

/** Many prompts, the k-th used in proportion to 1/k (Zipf 1949), against one. */
async function manyPrompts({ classify, decode }: Server, { runs }: ServingOptions, { keep }: Asked): Promise<void> {
  const draws = new Draws(seededRandom(2));
  const weights = Array.from({ length: PROMPTS }, (_, i) => 1 / (i + 1));
  const sum = weights.reduce((a, b) => a + b, 0);
  const zipf = () => {
    let rest = draws.uniform53() * sum;
    const found = weights.findIndex((weight) => {
      rest -= weight;
      return rest < 0;
    });
    return Math.max(0, found);
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
  const throughput = { cpu: ratio(one!, other!, "cpu"), wall: ratio(one!, other!, "wall") };
  console.log(
    `serving, ${PROMPTS} prompts: ${figure(throughput.cpu)} of the throughput with one by CPU time, ${figure(throughput.wall)} by the clock`,
  );
  keep({
    name: "serving, prompts",
    sizes: { L: LAYERS, prompts: PROMPTS, clients: CLIENTS, P, T, N: NEW },
    throughput,
  });
}

/** Throughput by the number of clients. */
async function curve({ classify, decode }: Server, { runs, threads }: ServingOptions, { keep }: Asked): Promise<void> {
  for (const count of CURVE) {
    const times = await inTurn([clients(each(count), classify), clients(each(count), decode)], runs);
    const rates = (of: keyof Time) => times.map((own) => spread(own.map((time) => (1000 * count) / time[of])));
    const [[texts, answers], [textsByClock, answersByClock]] = [rates("cpu"), rates("wall")];
    console.log(
      `serving, ${count} clients: ${figure(texts!)} texts, ${figure(answers!)} answers of ${NEW} tokens a second of CPU ` +
        `(${figure(textsByClock!)}, ${figure(answersByClock!)} by the clock)`,
    );
    const sizes = { L: LAYERS, clients: count, P, T, N: NEW, threads };
    keep({ name: "serving, curve", sizes, perCpuSecond: { texts, answers } });
  }
}
