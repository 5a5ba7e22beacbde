import { expect, test } from "vitest";
import { KeyRing } from "../../../edge/ledger/keys.ts";
import { Store } from "../../../edge/ledger/store.ts";
import { memorySql } from "./memory-sql.ts";

const DAY = 86_400_000;
const NOW = 20_000 * DAY;

test.each([90 * DAY, null])(
  "a key of life %s that is rotated again, because the answer was lost, has successors of that life",
  (life) => {
    const sql = memorySql();
    new Store(sql).prepare();
    const keys = new KeyRing(sql, 10);
    const after = (now: number) => (life === null ? null : now + life);
    keys.add({ id: "a", hash: "" }, "ci", ["read"], NOW, after(NOW));
    const rotate = (old: string, id: string, now: number) =>
      keys.rotate(old, { id, hash: "" }, now, now + DAY)?.expires;
    expect(rotate("a", "b", NOW + 5)).toBe(after(NOW + 5));
    expect(rotate("a", "c", NOW + 6)).toBe(after(NOW + 6));
    expect(rotate("c", "d", NOW + 7)).toBe(after(NOW + 7));
    expect(keys.list().map(({ id }) => id)).toEqual(["a", "b", "c", "d"]);
    expect(keys.usable("a", NOW + DAY + 4)?.id).toBe("a");
    expect(rotate("a", "e", NOW + DAY + 5)).toBeUndefined();
  },
);
