import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Api } from "../../../client/api/api.ts";
import { downloadFolder } from "../../../client/api/download.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const CONTENT = Buffer.from("0123456789".repeat(20_000));
const sha256 = createHash("sha256").update(CONTENT).digest("hex");
const download = { path: "/file", file: { name: "model.bin", size: CONTENT.length, sha256 } };

/** A provider whose answers the test makes; `ranges` are the Range headers that came. */
async function provider(answer: (request: IncomingMessage, response: ServerResponse, attempt: number) => void) {
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    ranges.push(request.headers.range);
    answer(request, response, ranges.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { api: new Api({ url: `http://127.0.0.1:${port}`, key: "key" }), ranges };
}

/** Sends what was asked for, but at most `limit` bytes of it before the connection breaks. */
function send(request: IncomingMessage, response: ServerResponse, limit = CONTENT.length): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const part = CONTENT.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, { "content-length": part.length });
  if (limit >= part.length) response.end(part);
  else response.write(part.subarray(0, limit), () => request.socket.destroy());
}

test("a download whose connection breaks goes on where it ended", async () => {
  const { api, ranges } = await provider((request, response, attempt) =>
    send(request, response, attempt < 3 ? 70_000 : undefined),
  );
  const out = join(temporaryFolder(), "model");
  let bytes = 0;
  await downloadFolder(api, [download], out, (more) => {
    bytes += more;
  });
  expect(readFileSync(join(out, "model.bin")).equals(CONTENT)).toBe(true);
  expect(bytes).toBe(CONTENT.length);
  expect(ranges[0]).toBeUndefined();
  for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=[1-9]\d*-$/);
});

test("a later run goes on too, and the folder appears only when all is there", async () => {
  const folder = temporaryFolder();
  const out = join(folder, "model");
  const broken = await provider((request, response) => send(request, response, 20_000));
  expect(await rejection(downloadFolder(broken.api, [download], out, () => {}))).toContain("broke off 5 times");
  expect(existsSync(out)).toBe(false);
  const whole = await provider((request, response) => send(request, response));
  await downloadFolder(whole.api, [download], out, () => {});
  expect(whole.ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  expect(readFileSync(join(out, "model.bin")).equals(CONTENT)).toBe(true);
  expect(readdirSync(folder)).toEqual(["model"]);
});

test("another content than the digest says is not kept", async () => {
  const out = join(temporaryFolder(), "model");
  const { api } = await provider((_, response) => response.end(Buffer.alloc(CONTENT.length, 120)));
  expect(await rejection(downloadFolder(api, [download], out, () => {}))).toMatch(
    /arrived damaged: its digest is .* It was removed/,
  );
  expect(existsSync(out)).toBe(false);
});

test("a file that is longer than said is cut off", async () => {
  const { api } = await provider((_, response) => response.end(Buffer.alloc(CONTENT.length + 1)));
  expect(await rejection(downloadFolder(api, [download], join(temporaryFolder(), "x"), () => {}))).toContain("longer");
});

test("a redirect is not followed: it could take the key elsewhere", async () => {
  const { api } = await provider((_, response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end());
  expect(await rejection(api.budget())).toContain("can't be reached");
});

test("an answer that is no JSON or not what was asked for is the provider's fault", async () => {
  const { api } = await provider((_, response) => response.end("<html>"));
  expect(await rejection(api.budget())).toContain("The provider's answer is not understood");
  const failing = await provider((_, response) => response.writeHead(500).end("oops"));
  expect(await rejection(failing.api.budget())).toContain("It answered with status 500");
});
