import { expect, test } from "vitest";
import { Store } from "../../../edge/ledger/store.ts";
import { Webhooks } from "../../../edge/ledger/webhooks.ts";
import { memorySql } from "./memory-sql.ts";

test("a delivery that is asked for again while a try of it is under way is sent once more", () => {
  const sql = memorySql();
  new Store(sql).prepare();
  const hooks = new Webhooks(sql);
  hooks.add({ id: "w", url: "https://example.com", events: ["transfer.failed"], secret: "s" });
  hooks.notify({ type: "transfer.failed", data: { transfer: "t", state: "failed" } });
  const refused = { status: 500, error: "It answered 500." };
  hooks.tried(hooks.due(1)[0]!, refused);
  sql.exec("UPDATE deliveries SET next = 0");
  const [underWay] = hooks.due(1);
  expect(hooks.again("w", underWay!.id)).toBe(true);
  hooks.tried(underWay!, { status: 204, error: null });
  expect(hooks.deliveries("w", 1)).toMatchObject([{ state: "pending", tries: 0 }]);
  hooks.tried(hooks.due(1)[0]!, { status: 204, error: null });
  expect(hooks.deliveries("w", 1)).toMatchObject([{ state: "delivered", tries: 1 }]);
});
