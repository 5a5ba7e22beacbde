import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Hub, hubOf, resolveModel } from "../../../shared/data/hub.ts";
import { rejection } from "../../helpers/problem.ts";
import { temporaryFolder } from "../../helpers/temporary.ts";

const SHA = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS = "pretend weights";
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** A hub with one model, org/tiny: the weights are redirected, as the hub does it with large files. */
async function startHub(weights = WEIGHTS): Promise<{ hub: Hub; requests: string[] }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.url} ${request.headers.authorization ?? ""}`);
    const answer = (status: number, body: string, headers = {}) => response.writeHead(status, headers).end(body);
    if (request.url === "/api/models/org/tiny/revision/main") {
      const names = ["config.json", "model.safetensors", "tokenizer.json", "pytorch_model.bin", "a/model.safetensors"];
      return answer(200, JSON.stringify({ sha: SHA, siblings: names.map((rfilename) => ({ rfilename })) }));
    }
    if (request.url === `/org/tiny/resolve/${SHA}/model.safetensors`) {
      return answer(302, "", { location: "/store", "x-linked-etag": `"${sha256(WEIGHTS)}"`, etag: '"other"' });
    }
    if (request.url === "/store") return answer(200, weights, { etag: '"store"' });
    const file = /^\/org\/tiny\/resolve\/\w+\/(\w+\.json)$/.exec(request.url!)?.[1];
    if (file) return answer(200, `{"file":"${file}"}`, { etag: `"${sha256(file).slice(0, 40)}"` });
    return answer(404, "{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { hub: hubOf({ HF_ENDPOINT: endpoint, HF_HUB_CACHE: temporaryFolder(), HF_TOKEN: "secret" }), requests };
}

test("a model is downloaded once, into the cache's usual places", async () => {
  const { hub, requests } = await startHub();
  const folder = await resolveModel("org/tiny", hub);
  expect(folder).toBe(join(hub.cache, "models--org--tiny", "snapshots", SHA));
  expect(readdirSync(folder).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  expect(readFileSync(join(folder, "model.safetensors"), "utf8")).toBe(WEIGHTS);
  expect(readFileSync(join(hub.cache, "models--org--tiny", "refs", "main"), "utf8")).toBe(SHA);
  expect(readdirSync(join(hub.cache, "models--org--tiny", "blobs"))).toContain(sha256(WEIGHTS));
  expect(requests[0]).toMatch(/Bearer secret/);
  const before = requests.length;
  expect(await resolveModel("org/tiny", { ...hub, offline: true })).toBe(folder);
  expect(requests.length).toBe(before);
});

test("a download that arrives damaged leaves nothing that looks whole", async () => {
  const { hub } = await startHub("damaged");
  expect(await rejection(resolveModel("org/tiny", hub))).toMatch(/arrived damaged/);
  expect(readdirSync(join(hub.cache, "models--org--tiny", "blobs")).filter((name) => /incomplete/.test(name))).toEqual(
    [],
  );
  expect(await rejection(resolveModel("org/tiny", { ...hub, offline: true }))).toMatch(/HF_HUB_OFFLINE is set/);
});

test("a folder is itself; what is neither folder nor model is named", async () => {
  const { hub } = await startHub();
  const folder = temporaryFolder();
  expect(await resolveModel(folder, hub)).toBe(folder);
  expect(await rejection(resolveModel("../x/y", hub))).toMatch(/no folder \.\.\/x\/y/);
  expect(await rejection(resolveModel("org/none", hub))).toMatch(/answered 404/);
  const unreachable = { ...hub, endpoint: "http://127.0.0.1:1" };
  expect(await rejection(resolveModel("org/tiny", unreachable))).toMatch(/can't be reached/);
});

test("the environment says where the cache is", () => {
  expect(hubOf({ HF_HOME: "/h" }).cache).toBe(join("/h", "hub"));
  expect(hubOf({ HF_HUB_CACHE: "/c", HF_HOME: "/h" }).cache).toBe("/c");
  expect(hubOf({ XDG_CACHE_HOME: "/x" }).cache).toBe(join("/x", "huggingface", "hub"));
  expect(hubOf({ HF_HUB_OFFLINE: "1" }).offline).toBe(true);
});
