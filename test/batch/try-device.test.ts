/** The device test's comparison, of the CPU with itself: that every graph gets values that it can be run with. */
import { expect, test } from "vitest";
import { compareGraphs } from "../../batch/try-device/compare.ts";
import { tinyModels } from "../../batch/try-device/tiny-model.ts";
import { temporaryFolder } from "../helpers/temporary.ts";

test("every graph of a model runs, in both precisions, and is compared", async () => {
  const [{ checkpoint }] = (await tinyModels(temporaryFolder())) as [Awaited<ReturnType<typeof tinyModels>>[0]];
  const full = await compareGraphs(checkpoint, "float32", "cpu");
  const half = await compareGraphs(checkpoint, "float16", "cpu");
  expect(full.length).toBeGreaterThan(half.length);
  for (const { error, onCpu } of [...full, ...half]) expect([error, onCpu]).toEqual([0, []]);
  const names = full.map(({ name }) => name);
  for (const name of ["tune (adam)", "dpTune", "transfer (classes, α 0)", "distill", "pretrain"]) expect(names).toContain(name);
});
