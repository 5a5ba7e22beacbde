import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Api } from "../../../client/api/api.ts";
import { rejection } from "../../helpers/problem.ts";
import { promptOf } from "../../service/provider.ts";

async function apiOf(answer: RequestListener): Promise<Api> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Api({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: "key" });
}

const { manifest } = promptOf(1);
const upload = { manifest, options: {}, headers: {}, body: new Uint8Array(8_000_000), parts: [] };

test("an upload whose connection is cut says so, and what to do", async () => {
  const api = await apiOf((request) => request.socket.destroy());
  const said = await rejection(api.submit(upload));
  expect(said).toContain("The upload broke off");
  expect(said).toContain("under its idempotency key it can be sent again safely");
});

test("an upload's refusal is shown with all its faults", async () => {
  const problem = { title: "Not allowed", detail: "No.", faults: [{ at: "prompt", message: "Is odd." }] };
  const api = await apiOf((request, response) => {
    request.resume().once("end", () => response.writeHead(403).end(JSON.stringify(problem)));
  });
  const said = await rejection(api.submit(upload));
  expect(said).toContain("Not allowed");
  expect(said).toContain("prompt: Is odd.");
});

test("a provider that answers with something else is said to have failed", async () => {
  const page = await apiOf((_, response) => response.writeHead(502).end("<html>"));
  expect(await rejection(page.budget())).toContain("status 502");
  const other = await apiOf((_, response) => response.end('{"students": 1}'));
  expect(await rejection(other.students())).toContain("Is it another version?");
});
