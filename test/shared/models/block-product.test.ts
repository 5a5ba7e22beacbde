import { describe, expect, test } from "vitest";
import { gpt2 } from "../../../shared/models/gpt2.ts";
import { plannedMatrices } from "../../../shared/models/quantised-files.ts";
import { exactProducts } from "../../../shared/models/weights.ts";
import { type Quantisation, usualQuantisation } from "../../../shared/protocol/weights.ts";

const config = gpt2.configure({
  model_type: "gpt2",
  n_layer: 2,
  n_embd: 128,
  n_head: 4,
  n_positions: 64,
  vocab_size: 100,
});
const narrow = (weights: "int8" | "int4") => plannedMatrices(gpt2, config, usualQuantisation(weights));

const products = (weights: "int8" | "int4", memory: number) => {
  const matrices = narrow(weights);
  const productOf = exactProducts({ narrow: matrices, family: gpt2, config }, memory);
  return [...matrices.keys()].map(productOf);
};

test("as many matrices of 4 bits as have a second copy in a tenth of the memory are unpacked, the others widened", () => {
  // 12 D² numbers a layer, of half a byte.
  const bytes = (12 * 128 ** 2) / 2;
  expect(products("int4", 10 * 2 * bytes)).toEqual(Array(8).fill("unpacked"));
  expect(products("int4", 10 * bytes)).toEqual([...Array(4).fill("unpacked"), ...Array(4).fill("widened")]);
  expect(products("int4", 0)).toEqual(Array(8).fill("widened"));
});

test("matrices of 8 bits are widened, whatever the memory", () => {
  expect(products("int8", 1e12)).toEqual(Array(8).fill("widened"));
});

describe("of head and embeddings in 4 bits", () => {
  const chosen = (tied: boolean, memory: number) => {
    const of = { ...config, tied };
    const quantisation = { ...usualQuantisation("int4"), head: true, embeddings: true } as Quantisation;
    const matrices = plannedMatrices(gpt2, of, quantisation);
    const productOf = exactProducts({ narrow: matrices, family: gpt2, config: of }, memory);
    return [...matrices.keys()].filter((name) => productOf(name) === "unpacked");
  };

  test("a table of which only rows are read takes no room", () => {
    expect(chosen(false, 1e12)).toContain("lm_head.weight");
    expect(chosen(false, 1e12)).not.toContain("transformer.wte.weight");
    expect(chosen(true, 1e12)).toContain("transformer.wte.weight");
  });

  test("a matrix that has no room leaves it to smaller ones", () => {
    const [table, projection] = [(100 * 128) / 2, 128 ** 2 / 2];
    // What comes before the projection is three times as large.
    expect(chosen(true, 10 * (table + projection))).toEqual([
      "transformer.wte.weight",
      "transformer.h.0.attn.c_proj.weight",
    ]);
  });
});
