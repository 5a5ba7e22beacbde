/** `softpost serve` as a process: options, ports, restarts, a second one, a full disk. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Budget, Limits } from "../../shared/protocol/budget.ts";
import { softpostProcess } from "../helpers/softpost.ts";
import { temporaryFolder } from "../helpers/temporary.ts";
import { type Served, serve } from "./served.ts";

let folder: string;
let served: Served | undefined;
const identity = () => JSON.parse(readFileSync(join(folder, "provider.json"), "utf8"));
const start = async (...args: string[]) => {
  served = await serve(folder, ...args);
  return served;
};
const stop = async () => {
  await served?.end("SIGTERM");
  served = undefined;
};
const fails = async (...args: string[]) => {
  const { code, stdout, stderr } = await softpostProcess(["serve", "--dir", folder, ...args]);
  expect([code, stdout]).toEqual([1, ""]);
  return stderr;
};
async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const headers = { authorization: `Bearer ${served!.key}`, "content-type": "application/json" };
  return (await (await fetch(served!.url + path, { headers, ...init })).json()) as T;
}

beforeEach(() => {
  folder = join(temporaryFolder(), "provider");
});

afterEach(stop);

describe("an option on a folder that is there already", () => {
  test("changes the first tenant's limits; those that aren't named stay", async () => {
    await start("--daily-limit", "7", "--money-limit", "2.5");
    const limits = async () => {
      const { money, daily, privacy } = await ask<Budget>("/v1/budget");
      return [money.limit, daily.limit, privacy.limit];
    };
    expect(await limits()).toEqual([2_500_000, 7, null]);
    await stop();
    await start("--epsilon-limit", "3", "--concurrent-limit", "2");
    expect(await limits()).toEqual([2_500_000, 7, { epsilon: 3, delta: 1e-5 }]);
    await stop();
    await start("--delta-limit", "1e-6");
    expect(await limits()).toEqual([2_500_000, 7, { epsilon: 3, delta: 1e-6 }]);
    expect((served!.result.limits as Limits).concurrent).toBe(2);
  });

  test("sets price, rate and origins, which are remembered; the currency stays", async () => {
    await start(
      "--price",
      "7.2",
      "--currency",
      "EUR",
      "--rate",
      "3",
      "--cors",
      "https://a.example",
      "https://b.example",
    );
    const check = async (price: number) => {
      const answer = await fetch(`${served!.url}/docs`, { headers: { origin: "https://b.example" } });
      expect(answer.headers.get("access-control-allow-origin")).toBe("https://b.example");
      expect((await ask<Budget>("/v1/budget")).currency).toBe("EUR");
      const statuses = await Promise.all(
        Array.from(
          { length: 60 },
          async () =>
            (await fetch(`${served!.url}/v1/budget`, { headers: { authorization: `Bearer ${served!.key}` } })).status,
        ),
      );
      expect(statuses).toContain(429);
      expect(served!.result.settings).toMatchObject({ priceMicros: price, ratePerSecond: 3 });
    };
    await check(2000);
    await stop();
    await start("--price", "0.36");
    await check(100);
    await stop();
    expect(await fails("--currency", "USD")).toContain("The currency can't be changed");
  });

  test("that is only a part of one is refused, not passed over", async () => {
    expect(await fails("--delta-limit", "1e-6")).toContain("give --epsilon-limit too");
  });
});

describe("options that all commands have", () => {
  test("count here too, or are refused", async () => {
    expect(await fails("--device", "cuda")).toContain("The device is missing");
    expect(await fails("--precision", "fp16")).toContain("Jobs compute in fp32");
    expect(await fails("--metrics", join(folder, "m"))).toContain("no metrics");
    await start("--threads", "6", "--jobs", "3");
    const environment = readFileSync(join(folder, "batch", "definitions", "softpost-transfer-1.json"), "utf8");
    expect(environment).toContain('{"name":"SOFTPOST_THREADS","value":"2"}');
    expect(environment).toContain('{"name":"SOFTPOST_DEVICE","value":"cpu"}');
  });
});

describe("a second one", () => {
  test("in the same folder ends, changes nothing, and says where the first is", async () => {
    const { url } = await start();
    const before = identity();
    for (const port of [[], ["--port", "1234"]]) {
      const said = await fails(...port);
      expect(said).toContain(`one that runs at ${url}`);
      expect(said).not.toContain("--port");
    }
    expect(identity()).toEqual(before);
    expect((await ask<Budget>("/v1/budget")).currency).toBe("USD");
  });

  test("that starts at the same moment leaves one provider, which works", async () => {
    mkdirSync(folder);
    const [one, two] = await Promise.allSettled([serve(folder), serve(folder)]);
    const running = [one, two].flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    expect(running).toHaveLength(1);
    served = running[0];
    expect((await ask<Budget>("/v1/budget")).currency).toBe("USD");
    expect(identity().key).toBe(served!.key);
  });

  test("program that has a port is told apart from a second provider", async () => {
    await start();
    const { port, batchPort } = identity();
    await stop();
    const taken = async (wanted: number, then: () => Promise<void>) => {
      const server = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.listen(wanted, "127.0.0.1", resolve));
      await then();
      await new Promise((resolve) => server.close(resolve));
    };
    await taken(port, async () => expect(await fails()).toContain(`has port ${port}; name another with --port`));
    // Batch's own port is nobody's business: it takes another.
    await taken(batchPort, async () => {
      await start();
      expect(identity().batchPort).not.toBe(batchPort);
    });
  });
});

test("a file of its own that is damaged is named", async () => {
  mkdirSync(folder);
  writeFileSync(join(folder, "provider.json"), "{");
  expect(await fails()).toMatch(/The provider's file is damaged: .*provider\.json can't be read as JSON/);
});

test.runIf(existsSync("/dev/full"))("a full disk costs log lines, not the provider", async () => {
  mkdirSync(folder);
  const log = join(folder, "worker.log");
  symlinkSync("/dev/full", log);
  await start();
  for (let i = 0; i < 5; i++) expect((await ask<Budget>("/v1/budget")).currency).toBe("USD");
  rmSync(log);
  await ask("/v1/budget");
  await expect.poll(() => (existsSync(log) ? readFileSync(log, "utf8") : "")).toContain('"event":"log lines dropped"');
});

test("wrong keys from this machine lock out nothing on it", async () => {
  await start();
  const guess = (headers: Record<string, string>) => fetch(`${served!.url}/v1/budget`, { headers });
  const pages = Array.from({ length: 40 }, () => guess({ origin: "https://evil.example" }));
  // Nobody stands in front who would set it: saying another address each time is of no use.
  const others = Array.from({ length: 40 }, (_, i) => guess({ "cf-connecting-ip": `192.0.2.${i}` }));
  const statuses = (await Promise.all([...pages, ...others])).map(({ status }) => status);
  expect(statuses.filter((status) => status === 401).length).toBeLessThan(30);
  expect((await ask<Budget>("/v1/budget")).currency).toBe("USD");
  const docs = await fetch(`${served!.url}/docs`);
  expect(docs.status).toBe(200);
});
