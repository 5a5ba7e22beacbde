import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Outbox } from "../../../serving/usage/outbox.ts";
import { MAX_RECORDS } from "../../../shared/protocol/usage-report.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const LATER = Date.now() / 1000 + 3600;

/** A Worker that takes no record of one tenant. */
async function workerWithout(tenant: string) {
  const taken = new Set<string>();
  const server = createServer(async (request, response) => {
    const { records } = JSON.parse(Buffer.concat(await Array.fromAsync(request)).toString());
    const untaken = records.filter((record: { tenant: string }) => record.tenant === tenant);
    for (const { request } of records.filter((record: { tenant: string }) => record.tenant !== tenant))
      taken.add(request);
    response.writeHead(untaken.length > 0 ? 503 : 200, { "content-type": "application/json" });
    response.end(
      JSON.stringify(untaken.length > 0 ? { untaken: untaken.map((r: { request: string }) => r.request) } : {}),
    );
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  onTestFinished(() => void server.close());
  return { taken, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

test("records of a tenant whose ledger fails keep no others back, and are kept themselves", async () => {
  const { taken, url } = await workerWithout("broken");
  const outbox = new Outbox({ path: join(temporaryFolder(), "usage"), url, secret: "s".repeat(32) });
  // More than a report holds come before the others.
  for (let i = 0; i <= MAX_RECORDS; i++) outbox.open(`broken-${i}`.padEnd(16, "-"), "broken", LATER).end();
  for (let i = 0; i < 3; i++) outbox.open(`well-${i}-----------`, "well", LATER).end();
  await outbox.close();
  expect([...taken].map((request) => request.slice(0, 6)).sort()).toEqual(["well-0", "well-1", "well-2"]);
  expect(outbox.waiting).toBe(MAX_RECORDS + 1);
});
