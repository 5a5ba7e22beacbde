import { expect, test } from "vitest";
import { firstEquals } from "../../../shared/data/equal-texts.ts";
import { PackedTexts } from "../../../shared/data/packed-texts.ts";

const text = (...ids: number[]) => ({ ids: Int32Array.from(ids), readAt: 0 });

test("texts are equal that have the same tokens", () => {
  const texts = [text(1, 2), text(2, 1), text(1, 2), text(), text(1, 2, 3), text(70_000), text(), text(1, 2)];
  const packed = new PackedTexts();
  packed.append(texts.slice(0, 4));
  packed.append(texts.slice(4));
  expect(firstEquals(texts)).toEqual(Int32Array.of(0, 1, 0, 3, 4, 5, 3, 0));
  expect(firstEquals(packed)).toEqual(firstEquals(texts));
});
