/** The image's check of the CUDA provider, on a library that asks for what isn't there, or is. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../helpers/temporary.ts";

const SCRIPT = fileURLToPath(new URL("../../batch/check-provider.sh", import.meta.url));
const BINARIES = fileURLToPath(new URL("../../node_modules/onnxruntime-node/bin/napi-v6/linux/x64", import.meta.url));
const RUNTIME = "libonnxruntime.so.1";
const PROVIDER = "libonnxruntime_providers_cuda.so";

/** A folder as the install script leaves it, whose "provider" is the binding, which asks for `library` in place of the runtime. */
function folderWith(library: string): string {
  const folder = temporaryFolder();
  const binding = readFileSync(`${BINARIES}/onnxruntime_binding.node`);
  for (const name of [RUNTIME, "onnxruntime_binding.node"]) symlinkSync(`${BINARIES}/${name}`, `${folder}/${name}`);
  cpSync(`${BINARIES}/onnxruntime_binding.node`, `${folder}/libonnxruntime_providers_shared.so`);
  const at = binding.indexOf(`${RUNTIME}\0`);
  expect(at).toBeGreaterThan(0);
  binding.fill(0, at, at + RUNTIME.length).write(library, at, "latin1");
  writeFileSync(`${folder}/${PROVIDER}`, binding);
  return folder;
}

function check(folder: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync("sh", [SCRIPT, folder, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

describe.skipIf(process.platform !== "linux" || process.arch !== "x64")("the build of the image fails", () => {
  test("where the provider wasn't fetched", () => {
    expect(check(temporaryFolder(), "13.0.2")).toMatchObject({ status: 1, stderr: /was not fetched/ });
  });

  test("where the provider is built for a CUDA that the image hasn't, and names the library", () => {
    const { status, stderr } = check(folderWith("libcublas.so.12"), "13.0.2");
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: /libcublas\.so\.12 => not found/ });
  });

  test("where it is there, but of another version than the image says", () => {
    const folder = folderWith("libcublas.so.12");
    symlinkSync(`${BINARIES}/${RUNTIME}`, `${folder}/libcublas.so.12`);
    expect(check(folder, "13.0.2")).toMatchObject({ status: 1, stderr: /built for CUDA 12, the image has 13/ });
  });

  test("where the provider isn't the one that was named, and in no other case", () => {
    const folder = folderWith("libcublas.so.13");
    symlinkSync(`${BINARIES}/${RUNTIME}`, `${folder}/libcublas.so.13`);
    const digest = createHash("sha256")
      .update(readFileSync(`${folder}/${PROVIDER}`))
      .digest("hex");
    expect(check(folder, "13.0.2", "0".repeat(64))).toMatchObject({ status: 1, stderr: /SHA-256 should be 0000/ });
    for (const args of [[], [""], [digest]]) {
      const { status, stdout } = check(folder, "13.0.2", ...args);
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining(`sha256 ${digest}`) });
    }
  });
});
