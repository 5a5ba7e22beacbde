import { expect, test } from "vitest";
import { layerList, numberBetween, positiveNumber, wholeNumber } from "../../client/options.ts";

test.each([
  [wholeNumber(1), "12", 12],
  [wholeNumber(0), "0", 0],
  [positiveNumber, "1e-3", 0.001],
  [positiveNumber, ".5", 0.5],
  [numberBetween(0, 1), "0", 0],
  [numberBetween(0, 1), "1", 1],
  [layerList, "0,-1", [0, -1]],
  [layerList, "3", [3]],
])("%o reads %s", (parse, text, value) => {
  expect(parse(text)).toEqual(value);
});

test.each([
  [wholeNumber(1), ["0", "-1", "1.5", "", "1e3", "0x10", "9007199254740993"]],
  [positiveNumber, ["0", "-1", "", "Infinity", "NaN", "1e999", "0x10", "1 "]],
  [numberBetween(0, 1), ["-0.1", "1.1", "x"]],
  [layerList, ["", "0,", "a", "0;1", "1.5"]],
])("%o refuses what it can't be", (parse, texts) => {
  for (const text of texts) expect(() => parse(text), text).toThrow(/^It must be /);
});
