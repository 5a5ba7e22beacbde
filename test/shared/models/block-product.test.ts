import { expect, test } from "vitest";
import { gpt2 } from "../../../shared/models/gpt2.ts";
import { plannedMatrices } from "../../../shared/models/quantised-files.ts";
import { productOf } from "../../../shared/models/weights.ts";
import { usualQuantisation } from "../../../shared/protocol/weights.ts";

const config = gpt2.configure({
  model_type: "gpt2",
  n_layer: 2,
  n_embd: 128,
  n_head: 4,
  n_positions: 64,
  vocab_size: 100,
});
const narrow = (weights: "int8" | "int4") => plannedMatrices(gpt2, config, usualQuantisation(weights));

test("matrices of 4 bits have a second copy for their products where it is at most a quarter of the memory", () => {
  // 12 D² numbers a layer, of half a byte.
  const bytes = (2 * 12 * 128 ** 2) / 2;
  expect(productOf({ narrow: narrow("int4") }, 4 * bytes)).toBe("unpacked");
  expect(productOf({ narrow: narrow("int4") }, 4 * bytes - 1)).toBe("widened");
});

test("matrices of 8 bits are widened, whatever the memory", () => {
  expect(productOf({ narrow: narrow("int8") }, 1e12)).toBe("widened");
});
