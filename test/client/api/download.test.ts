import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { Api } from "../../../client/api/api.ts";
import { downloadFolder } from "../../../client/api/download.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

/** The milliseconds that would have been waited: time itself is left out of these tests. */
const waits = vi.hoisted(() => [] as number[]);
vi.mock("node:timers/promises", () => ({
  setTimeout: async (milliseconds: number, _: unknown, options?: { signal?: AbortSignal }) => {
    options?.signal?.throwIfAborted();
    waits.push(milliseconds);
  },
}));
beforeEach(() => void waits.splice(0));

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
  else response.write(part.subarray(0, limit), () => setTimeout(() => request.socket.destroy(), 20));
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
  const broken = await provider((request, response, attempt) =>
    attempt < 3 ? send(request, response, 20_000) : request.socket.destroy(),
  );
  expect(await rejection(downloadFolder(broken.api, [download], out, () => {}))).toMatch(/tries brought nothing new/);
  expect(waits).toEqual([500, 1000, 2000, 4000]);
  expect(existsSync(out)).toBe(false);
  const whole = await provider((request, response) => send(request, response));
  await downloadFolder(whole.api, [download], out, () => {});
  expect(whole.ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  expect(readFileSync(join(out, "model.bin")).equals(CONTENT)).toBe(true);
  expect(readdirSync(folder)).toEqual(["model"]);
});

describe("what stands where the folder is to be", () => {
  test("is kept, whatever it is, and nothing is fetched", async () => {
    const folder = temporaryFolder();
    const { api, ranges } = await provider((request, response) => send(request, response));
    const file = join(folder, "notes.txt");
    writeFileSync(file, "mine");
    symlinkSync(join(folder, "elsewhere"), join(folder, "link"));
    mkdirSync(join(folder, "full"));
    writeFileSync(join(folder, "full", "a"), "mine");
    for (const name of ["notes.txt", "link", "full"]) {
      const said = await rejection(downloadFolder(api, [download], join(folder, name), () => {}));
      expect(said).toMatch(new RegExp(`${name} is there already\\. A free name: --out .*${name}-2`));
    }
    expect(await rejection(downloadFolder(api, [download], join(file, "below"), () => {}))).toMatch(
      /below can't be written \(ENOTDIR\)/,
    );
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect(readdirSync(folder).sort()).toEqual(["full", "link", "notes.txt"]);
    expect(ranges).toEqual([]);
  });

  test("is kept if it comes while files do, and so are they", async () => {
    const out = join(temporaryFolder(), "model");
    const { api } = await provider((request, response) => {
      writeFileSync(out, "mine");
      send(request, response);
    });
    expect(await rejection(downloadFolder(api, [download], out, () => {}))).toMatch(
      /What came is whole in .*\.model\.partial, but --out .* can't be written \(ENOTDIR\)/,
    );
    expect(readFileSync(out, "utf8")).toBe("mine");
  });

  test("may be an empty folder", async () => {
    const out = join(temporaryFolder(), "model");
    mkdirSync(out);
    const { api } = await provider((request, response) => send(request, response));
    await downloadFolder(api, [download], out, () => {});
    expect(readdirSync(out)).toEqual(["model.bin"]);
  });
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

describe("a server or cache with a way of its own", () => {
  const begin = (request: IncomingMessage) => Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  /** 206 with the bytes from `start` to `end`, as content-range says. */
  const part = (response: ServerResponse, start: number, end = CONTENT.length) =>
    response
      .writeHead(206, {
        "content-length": end - start,
        "content-range": `bytes ${start}-${end - 1}/${CONTENT.length}`,
      })
      .end(CONTENT.subarray(start, end));
  const first = (request: IncomingMessage, response: ServerResponse) => send(request, response, 70_001);

  const WAYS: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse, attempt: number) => void>> =
    {
      "sends a part from its beginning": (_, response) => part(response, 0),
      "sends whole blocks": (request, response) => part(response, begin(request) - (begin(request) % 4096)),
      "sends slices": (request, response) =>
        part(response, begin(request), Math.min(begin(request) + 9000, CONTENT.length)),
      "sends a later part first": (request, response, attempt) =>
        attempt === 2 ? part(response, begin(request) + 10) : send(request, response),
      "does not take ranges": (request, response) =>
        request.headers.range
          ? response.writeHead(416, { "content-range": `bytes */${CONTENT.length}` }).end()
          : response.end(CONTENT),
      "breaks twelve times": (request, response, attempt) => send(request, response, attempt < 13 ? 9000 : undefined),
      "answers in several parts": (request, response) =>
        request.headers.range
          ? response.writeHead(206, { "content-type": "multipart/byteranges; boundary=x" }).end("--x\r\n")
          : response.end(CONTENT),
      "is busy for a while": (request, response, attempt) =>
        attempt < 20 ? response.writeHead(503, { "retry-after": "1" }).end() : send(request, response),
      "fails for a moment": (request, response, attempt) =>
        attempt < 4 ? response.writeHead(502).end() : send(request, response),
      "closes connections": (request, response, attempt) =>
        attempt < 4 ? request.socket.destroy() : send(request, response),
    };

  test.each(Object.entries(WAYS))("%s: one run, the right content", async (_, way) => {
    const { api } = await provider((request, response, attempt) =>
      attempt === 1 ? first(request, response) : way(request, response, attempt),
    );
    const out = join(temporaryFolder(), "model");
    let bytes = 0;
    await downloadFolder(api, [download], out, (more) => {
      bytes += more;
    });
    expect(readFileSync(join(out, "model.bin")).equals(CONTENT)).toBe(true);
    expect(bytes).toBe(CONTENT.length);
  });

  test("a part of something else is fetched anew", async () => {
    const out = join(temporaryFolder(), "model");
    const wrong = Buffer.alloc(CONTENT.length, 120);
    const { api } = await provider((request, response, attempt) => {
      if (attempt > 1) return send(request, response);
      response.writeHead(200, { "content-length": CONTENT.length });
      return response.write(wrong.subarray(0, 50_000), () => setTimeout(() => request.socket.destroy(), 20));
    });
    await downloadFolder(api, [download], out, () => {});
    expect(readFileSync(join(out, "model.bin")).equals(CONTENT)).toBe(true);
  });

  test("a ban is no failure that passes", async () => {
    const { api, ranges } = await provider((_, response) =>
      response.writeHead(403).end('{"title":"No","detail":"Not for you.","faults":[]}'),
    );
    expect(await rejection(downloadFolder(api, [download], join(temporaryFolder(), "x"), () => {}))).toBe(
      "No: Not for you.",
    );
    expect(ranges.length).toBe(1);
  });

  test("a server that is busy for ever is given up", async () => {
    const { api } = await provider((_, response) => response.writeHead(503, { "retry-after": "60" }).end());
    expect(await rejection(downloadFolder(api, [download], join(temporaryFolder(), "x"), () => {}))).toMatch(
      /the last one status 503/,
    );
    expect(waits).toEqual(Array(5).fill(60_000));
  });
});
