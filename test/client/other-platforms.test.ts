import { existsSync, linkSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { bytesOf, otherPlatforms, removeOtherPlatforms } from "../../client/other-platforms.ts";
import { rejection } from "../helpers/problem.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

const RUNTIMES = ["win32/x64", "win32/arm64", "darwin/arm64", "linux/x64", "linux/arm64"];
const TOKENIZERS = [
  ...["android-arm-eabi", "android-arm64", "darwin-universal", "darwin-arm64", "linux-arm-gnueabihf"],
  ...["linux-arm64-gnu", "linux-x64-gnu", "linux-x64-musl", "win32-x64-msvc"],
];

function write(path: string, text = "12345"): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** An installation of both packages, with files of five bytes. @returns the folder of softpost */
function install(modules: string): string {
  for (const name of ["softpost", "onnxruntime-node", "tokenizers"]) {
    write(join(modules, name, "package.json"), JSON.stringify({ name, version: "1.0.0" }));
  }
  for (const of of RUNTIMES) write(join(modules, "onnxruntime-node/bin/napi-v6", of, "libonnxruntime.so"));
  write(join(modules, "onnxruntime-node/dist/index.js"));
  for (const of of TOKENIZERS) write(join(modules, "tokenizers", `tokenizers.${of}.node`));
  write(join(modules, "tokenizers/index.js"));
  return join(modules, "softpost");
}

const linux = { platform: "linux", arch: "x64" };
const names = async (of: { platform: string; arch: string }) => {
  const root = install(join(temporaryFolder(), "node_modules"));
  const removed = (await otherPlatforms(of, root)).map(({ path }) => path);
  const all = [
    ...RUNTIMES.map((each) => join(root, "../onnxruntime-node/bin/napi-v6", each)),
    ...TOKENIZERS.map((each) => join(root, `../tokenizers/tokenizers.${each}.node`)),
  ];
  return all.filter((path) => !removed.includes(path)).map((path) => path.slice(dirname(root).length + 1));
};

test("what this platform loads is kept, and where nothing is for it, all", async () => {
  expect(await names(linux)).toEqual([
    "onnxruntime-node/bin/napi-v6/linux/x64",
    "tokenizers/tokenizers.linux-x64-gnu.node",
    "tokenizers/tokenizers.linux-x64-musl.node",
  ]);
  expect(await names({ platform: "darwin", arch: "arm64" })).toEqual([
    "onnxruntime-node/bin/napi-v6/darwin/arm64",
    "tokenizers/tokenizers.darwin-universal.node",
    "tokenizers/tokenizers.darwin-arm64.node",
  ]);
  expect(await names({ platform: "sunos", arch: "x64" })).toHaveLength(RUNTIMES.length + TOKENIZERS.length);
});

test("it is removed, and nothing else", async () => {
  const root = install(join(temporaryFolder(), "node_modules"));
  expect(bytesOf(await otherPlatforms(linux, root))).toBe(11 * 5);
  expect(await removeOtherPlatforms(linux, root)).toBe(11 * 5);
  for (const kept of ["onnxruntime-node/dist/index.js", "tokenizers/index.js", "tokenizers/package.json"]) {
    expect(existsSync(join(root, "..", kept)), kept).toBe(true);
  }
  expect(await otherPlatforms(linux, root)).toEqual([]);
  expect(await removeOtherPlatforms(linux, root)).toBe(0);
});

test("nothing is removed from a checkout, or from what other installations share", async () => {
  const checkout = join(temporaryFolder(), "softpost");
  const modules = join(checkout, "node_modules");
  renameSync(install(modules), join(temporaryFolder(), "not-needed"));
  write(join(checkout, "package.json"), '{"name": "softpost"}');
  expect(await rejection(removeOtherPlatforms(linux, checkout))).toMatch(/is a checkout/);

  const linked = join(temporaryFolder(), "node_modules/softpost");
  mkdirSync(dirname(linked), { recursive: true });
  symlinkSync(checkout, linked);
  expect(await rejection(removeOtherPlatforms(linux, linked))).toMatch(/is a checkout/);

  const pnpm = install(join(temporaryFolder(), "node_modules/.pnpm/softpost@1.0.0/node_modules"));
  expect(await rejection(removeOtherPlatforms(linux, pnpm))).toMatch(/a store that other projects share/);

  const root = install(join(temporaryFolder(), "node_modules"));
  const binary = join(root, "../onnxruntime-node/bin/napi-v6/win32/x64/libonnxruntime.so");
  linkSync(binary, join(temporaryFolder(), "the-store-has-it-too"));
  expect(await rejection(removeOtherPlatforms(linux, root))).toMatch(/shared with other installations \(hard links\)/);
  expect(existsSync(binary)).toBe(true);
  expect(existsSync(join(modules, "onnxruntime-node/bin/napi-v6/win32/x64/libonnxruntime.so"))).toBe(true);
});
