import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Value } from "../shared/graph/engine.ts";
import { toFloat32 } from "../shared/prompt/dtype.ts";
import { encodeSafetensors, parseHeader } from "../shared/prompt/safetensors.ts";

/** A step of the study: what was measured, and a prompt `[P, D]` if one was made. */
export interface Outcome<T> {
  readonly figures: T;
  readonly prompt?: Value;
}

/** What a study has done, a file a step: one that was stopped goes on where it was, and one with other settings does anew what they touch. */
export class Store {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Does a step, unless it was done before with the same settings.
   * @param name path of its files, without their endings
   */
  async once<T>(name: string, settings: object, compute: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    const path = join(this.#folder, name);
    const wanted = JSON.stringify(settings);
    const before = this.#read<T>(path, wanted);
    if (before) return before;
    const outcome = await compute();
    mkdirSync(dirname(path), { recursive: true });
    if (outcome.prompt) {
      const { shape, data } = outcome.prompt;
      write(`${path}.safetensors`, encodeSafetensors([{ name: "prompt", shape, data: data as Float32Array }]));
    }
    const { figures } = outcome;
    write(`${path}.json`, `${JSON.stringify({ settings: wanted, figures, prompt: outcome.prompt !== undefined })}\n`);
    console.log(`${name}: ${JSON.stringify(figures)}`);
    return outcome;
  }

  #read<T>(path: string, wanted: string): Outcome<T> | undefined {
    if (!existsSync(`${path}.json`)) return undefined;
    const record = JSON.parse(readFileSync(`${path}.json`, "utf8")) as {
      settings: string;
      figures: T;
      prompt: boolean;
    };
    if (record.settings !== wanted) return undefined;
    return record.prompt
      ? { figures: record.figures, prompt: readPrompt(`${path}.safetensors`) }
      : { figures: record.figures };
  }
}

/** The record is written last, and whole or not at all. */
function write(path: string, content: string | Uint8Array): void {
  writeFileSync(`${path}.tmp`, content);
  renameSync(`${path}.tmp`, path);
}

function readPrompt(path: string): Value {
  const bytes = new Uint8Array(readFileSync(path));
  const { shape, begin, end } = parseHeader(bytes, bytes.length, path).tensors.get("prompt")!;
  return { shape, data: toFloat32(bytes.subarray(begin, end), "F32") };
}
