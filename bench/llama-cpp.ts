/** Decoding one row, in turn with llama.cpp, where `node-llama-cpp` is installed: it is no dependency, since it is 100 times as large as what it is for. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Engine } from "../shared/graph/engine.ts";
import { openModel } from "../shared/operations/open-model.ts";
import { Decoder } from "../shared/training/decoder.ts";
import { type GgufForm, randomGguf } from "./gguf.ts";
import { figure, inTurn, ratio, type Subject, timed } from "./measure.ts";
import { quantised } from "./quantised.ts";
import { randomLlama } from "./random-llama.ts";
import type { Asked } from "./serving.ts";

const SIZE = "tinyllama-1.1b";
const BEGINNING = Int32Array.from({ length: 16 }, (_, i) => 100 + i);
const NEW_TOKENS = 32;
const FORMS = [
  ["int8", "Q8_0"],
  ["int4", "Q4_0"],
] as const satisfies readonly (readonly [string, GgufForm])[];

interface Options {
  readonly models: string;
  readonly threads: number;
  readonly runs: number;
  /** A folder in whose node_modules node-llama-cpp is. */
  readonly llamaCpp?: string;
}

/** The part of node-llama-cpp that is used. */
interface LlamaCpp {
  getLlama(options: object): Promise<{
    loadModel(options: { modelPath: string }): Promise<{
      createContext(options: object): Promise<{
        getSequence(): {
          clearHistory(): Promise<void>;
          evaluate(tokens: readonly number[], options: object): AsyncIterable<number>;
        };
      }>;
      dispose(): Promise<void>;
    }>;
  }>;
}

/** Compares tokens a second, the text's first pass included. */
export async function llamaCpp(options: Options, { wanted, keep }: Asked): Promise<void> {
  const other = await loadLlamaCpp(options.llamaCpp);
  const published = await randomLlama(options.models, SIZE);
  for (const [weights, form] of FORMS) {
    const name = `llama.cpp, ${weights}`;
    if (!wanted(name)) continue;
    // llama.cpp quantises the head, too.
    const folder = await quantised(published, weights, true);
    const file = join(options.models, `${SIZE}-${form}.gguf`);
    await randomGguf(file, SIZE, form);
    const engine = new Engine({ threads: options.threads });
    const ours = await ourDecoding(engine, folder);
    const theirs = await theirDecoding(other, file, options.threads);
    const [own, llama] = await inTurn([ours, theirs.subject], options.runs);
    await engine.close();
    await theirs.close();
    const speed = { cpu: ratio(llama!, own!, "cpu"), wall: ratio(llama!, own!, "wall") };
    console.log(
      `${name} against ${form}: ${figure(speed.cpu)} of its tokens a second of CPU, ${figure(speed.wall)} by the clock`,
    );
    keep({ name, sizes: { new: NEW_TOKENS, threads: options.threads }, speed });
  }
}

/** @throws Error with what to install */
async function loadLlamaCpp(folder = "."): Promise<LlamaCpp> {
  const entry = pathToFileURL(join(folder, "node_modules/node-llama-cpp/dist/index.js")).href;
  return import(entry).catch((cause: unknown) => {
    const how = "npm install --no-save --ignore-scripts node-llama-cpp in a folder, and --llama-cpp FOLDER";
    throw new Error(`llama.cpp isn't there to compare with: ${how}`, { cause });
  });
}

async function ourDecoding(engine: Engine, folder: string): Promise<Subject> {
  const { model } = await openModel(folder, { id: SIZE, digest: "" });
  const decoder = await Decoder.open(engine, model, 1);
  return {
    run: () =>
      timed(async () => {
        let { best } = await decoder.join([{ ids: BEGINNING }]);
        for (let token = 1; token < NEW_TOKENS; token++) ({ best } = await decoder.step(best));
        await decoder.leave(0);
      }),
  };
}

async function theirDecoding(
  { getLlama }: LlamaCpp,
  modelPath: string,
  threads: number,
): Promise<{ readonly subject: Subject; close(): Promise<void> }> {
  const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, maxThreads: threads });
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 256, threads });
  const sequence = context.getSequence();
  const decode = async () => {
    await sequence.clearHistory();
    let count = 0;
    for await (const _ of sequence.evaluate([...BEGINNING], { temperature: 0, yieldEogToken: true })) {
      count += 1;
      if (count === NEW_TOKENS) break;
    }
  };
  return { subject: { run: () => timed(decode) }, close: () => model.dispose() };
}
