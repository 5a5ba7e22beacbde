/** Writes an adapter folder for check.py: `node write-adapter.ts DIR`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONFIG_FILE, encodeAdapter, WEIGHTS_FILE } from "../../../../shared/prompt/adapter.ts";

const folder = process.argv[2]!;
const prompt = Float32Array.from({ length: 5 * 8 }, (_, i) => Math.sin(i));
const files = encodeAdapter({ prompt, virtualTokens: 5, dimension: 8, baseModel: "tiny-gpt2", masked: false });
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, CONFIG_FILE), files.config);
writeFileSync(join(folder, WEIGHTS_FILE), files.weights);
