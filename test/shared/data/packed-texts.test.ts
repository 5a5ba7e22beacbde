import fc from "fast-check";
import { expect, test } from "vitest";
import { LabelledRows, lengthsOf, PackedTexts } from "../../../shared/data/packed-texts.ts";

const id = fc.oneof(fc.nat(0xffff), fc.nat(0x7fff_ffff));
const text = fc
  .array(id, { minLength: 1, maxLength: 9 })
  .chain((ids) => fc.nat(ids.length - 1).map((readAt) => ({ ids: Int32Array.from(ids), readAt })));

test("packed texts are what was packed, asked for singly or in a row", () => {
  fc.assert(
    fc.property(fc.array(fc.array(text, { maxLength: 5 }), { maxLength: 8 }), (groups) => {
      const packed = new PackedTexts();
      for (const group of groups) packed.append(group);
      const all = groups.flat();
      expect(packed.length).toBe(all.length);
      expect([...packed]).toEqual(all);
      expect(all.map((_, i) => packed.at(i))).toEqual(all);
      expect([...lengthsOf(packed)]).toEqual(all.map(({ ids }) => ids.length));
      expect([packed.at(-1), packed.at(all.length)]).toEqual([undefined, undefined]);
      const labelled = new LabelledRows(packed, Int32Array.from(all.keys()));
      const expected = all.map((each, label) => ({ ...each, label }));
      expect([...labelled]).toEqual(expected);
      expect(all.map((_, i) => labelled.at(i))).toEqual(expected);
      expect(labelled.at(all.length)).toBeUndefined();
    }),
  );
});

test("a text that was asked for is one's own", () => {
  const packed = new PackedTexts();
  packed.append([{ ids: Int32Array.of(1, 70_000), readAt: 0 }]);
  packed.at(0)!.ids[0] = 5;
  expect(packed.at(0)!.ids[0]).toBe(1);
});
