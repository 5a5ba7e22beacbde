import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/setup.ts"],
    // Long, so that a crowded machine fails nothing: only what hangs.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    // No test writes to the ledger of whoever runs it.
    env: { SOFTPOST_HOME: join(tmpdir(), "softpost-test-home") },
    pool: "forks",
    maxWorkers: 2,
  },
});
