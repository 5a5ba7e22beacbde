import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../helpers/temporary.ts";

const folder = new URL("../../../shared/graph/", import.meta.url);
const PROGRAM = `
  import { Engine } from "${folder}engine.ts";
  import { add } from "${folder}operators/elementwise.ts";
  import { input } from "${folder}tensor.ts";
  const engine = new Engine({ threads: 1 });
  const x = input("x", "float32", [1]);
  const session = await engine.load({ outputs: { sum: add(x, x) } });
  const { sum } = await session.run({ x: { shape: [1], data: Float32Array.of(1) } });
  console.log(sum.data[0]);
  await engine.close();
`;

test("ONNX Runtime keeps and sends nothing about who runs it", async () => {
  const home = temporaryFolder();
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: home, TMPDIR: home, XDG_CACHE_HOME: home };
  delete env.ORT_DISABLE_TELEMETRY;
  const args = ["--input-type=module", "--eval", PROGRAM];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  expect(stdout).toBe("2\n");
  // With telemetry on there are a device id, a database of events and a session file.
  expect(readdirSync(home)).toEqual([]);
});
