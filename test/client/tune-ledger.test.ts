import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { withState } from "../../client/local/with-engine.ts";
import { chargedData } from "../../client/privacy-ledger.ts";
import { fixture } from "../helpers/fixtures.ts";
import { softpost, softpostProcess } from "../helpers/softpost.ts";
import { temporaryFile, temporaryFolder } from "../helpers/temporary.ts";

const inputs = ["--model", fixture("tiny-gpt2"), "--task", fixture("tiny-task/task.json"), "--prompt-tokens", "2"];
const train = ["--train", fixture("tiny-task/train.jsonl"), "--steps", "2", "--batch-size", "4"];
const noise = ["--noise-multiplier", "2", "--delta", "0.01"];
const tune = (out: string, ...more: string[]) => softpost("tune", ...inputs, ...train, ...noise, "--out", out, ...more);

afterEach(() => vi.unstubAllEnvs());

test("every private run is charged to its data; the budget refuses the one that would pass it", async () => {
  const folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
  // Runs of 2 steps at q = 1/3 and sigma = 2: two compose to 0.645 at delta 0.01, three to 0.829.
  const budget = ["--budget-epsilon", "0.7"];
  const first = await tune(join(folder, "a"), ...budget);
  expect(first.code, first.stderr).toBe(0);
  expect(first.stderr).toMatch(/Charged to the ledger/);
  expect(readdirSync(folder).filter((name) => name.includes("run-id"))).toEqual([]);

  expect((await tune(join(folder, "b"), ...budget)).code).toBe(0);
  const third = await tune(join(folder, "c"), ...budget);
  expect(third.code).toBe(1);
  expect(third.stderr).toMatch(/privacy budget does not allow/);
  expect(chargedData()[0]!.entries.length).toBe(2);
  expect(existsSync(join(folder, "c"))).toBe(false);
});

test("a private run starts from no prompt that may know its rows, and charges nothing", async () => {
  const folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
  const plain = join(folder, "plain");
  expect((await softpost("tune", ...inputs, ...train, "--out", plain)).code).toBe(0);
  expect((await tune(join(folder, "private"))).code).toBe(0);
  const starts = [
    [plain, /tuned without privacy/],
    [join(folder, "private"), /tuned with a privacy budget of its own/],
  ] as const;
  for (const [start, why] of starts) {
    const refused = await tune(join(folder, "next"), "--prompt", start);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(why);
    expect(refused.stderr).toMatch(/--public-start/);
  }
  expect(chargedData().flatMap(({ entries }) => entries).length).toBe(1);

  const next = join(folder, "next");
  const begun = await tune(next, "--prompt", plain, "--public-start");
  expect(begun.code, begun.stderr).toBe(0);
  expect((await softpost("privacy", "explain", next)).stdout).toMatch(
    /Not covered +the prompt that the run began with/,
  );
  const alone = await softpost(
    "tune",
    ...inputs,
    ...train,
    "--out",
    join(folder, "x"),
    "--prompt",
    plain,
    "--public-start",
  );
  expect(alone.code).toBe(2);
  expect(alone.stderr).toMatch(/--public-start needs --epsilon/);
});

test("of two runs into one folder the second is refused before it is charged", async () => {
  const folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
  const out = join(folder, "out");
  const both = await Promise.all([tune(out), tune(out)]);
  expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
  expect(both.find(({ code }) => code === 1)!.stderr).toMatch(/The run is under way: This process works on --out/);
  expect(chargedData()[0]!.entries.length).toBe(1);
  expect(readdirSync(folder).filter((name) => name.startsWith(".out"))).toEqual([]);
});

test("a state in use by a run of the library is refused to another", async () => {
  const state = join(temporaryFolder(), "state");
  const run = () => withState({ state }, async () => "done");
  await withState({ state }, async () => {
    await expect(run()).rejects.toThrow(/This process works on .*state already/);
  });
  expect(await run()).toBe("done");
});

test("a copy of an unfinished run goes on as a run of its own once one of them is finished", async () => {
  const folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
  const long = ["--steps", "5"];
  const args = ["tune", ...inputs, ...train, ...noise, ...long, "--out", join(folder, "a")];
  const stopped = await softpostProcess(args, 2, { SOFTPOST_HOME: folder });
  expect(stopped.code, stopped.stderr).toBe(130);
  for (const end of ["", ".run-id"]) cpSync(join(folder, `.a.unfinished${end}`), join(folder, `.b.unfinished${end}`));
  const first = await tune(join(folder, "a"), ...long, "--resume");
  expect(first.code, first.stderr).toBe(0);
  expect(first.stderr).toMatch(/Nothing more was charged: this run goes on/);
  const second = await tune(join(folder, "b"), ...long, "--resume");
  expect(second.code, second.stderr).toBe(0);
  expect(second.stderr).toMatch(/Charged .* as a new run: the one that goes on was finished before/);
  expect(chargedData()[0]!.entries.length).toBe(2);
  expect(statSync(join(folder, "ledger", "finished")).mode & 0o777).toBe(0o600);
});

/** A copy of the tiny model with one more token than it has embeddings of, which `<more>` in a text is. */
function withMoreTokens(): string {
  const folder = temporaryFolder();
  cpSync(fixture("tiny-gpt2"), folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, "tokenizer_config.json"), "utf8"));
  writeFileSync(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({ ...config, additional_special_tokens: ["<more>"] }),
  );
  return folder;
}

const row = (text: string) => temporaryFile("rows.jsonl", `${JSON.stringify({ text, label: "negative" })}\n`.repeat(8));
const taskWith = (change: object) =>
  temporaryFile(
    "task.json",
    JSON.stringify({ ...JSON.parse(readFileSync(fixture("tiny-task/task.json"), "utf8")), ...change }),
  );

test.each<[string, () => string[], RegExp]>([
  [
    "a row's token without an embedding",
    () => ["--model", withMoreTokens(), "--train", row("a <more>")],
    /"<more>" \(id 96\)/,
  ],
  ["an evaluated row's", () => ["--model", withMoreTokens(), "--eval", row("a <more>")], /"<more>" \(id 96\)/],
  [
    "the init text's",
    () => ["--model", withMoreTokens(), "--task", taskWith({ init: "<more>" })],
    /"<more>" \(id 96\)/,
  ],
  [
    "a word's",
    () => [
      "--model",
      withMoreTokens(),
      "--task",
      taskWith({
        labels: [
          { name: "a", words: ["<more>"] },
          { name: "b", words: [" a"] },
        ],
      }),
    ],
    /labels\/0\/words\/0: .*"<more>" \(id 96\)/,
  ],
  ["an init text without tokens", () => ["--task", taskWith({ init: "\u4e2d" })], /has no token/],
  ["a clip norm that float32 can't hold", () => ["--clip", "1e39"], /clip: float32 holds/],
  ["more virtual tokens than a prompt may have", () => ["--prompt-tokens", "5000"], /too long/],
])("%s is refused before the run is charged", async (_, options, message) => {
  const home = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", home);
  const { code, stderr } = await tune(join(temporaryFolder(), "out"), ...options());
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/bug in softpost|Charged/);
  expect(code).toBe(1);
  expect(existsSync(join(home, "ledger"))).toBe(false);
});

test("a data set saved again is the same one; one that shrank is known, and counts together with --dataset", async () => {
  const folder = temporaryFolder();
  vi.stubEnv("SOFTPOST_HOME", folder);
  const rows = readFileSync(fixture("tiny-task/train.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const lines = rows.map((row) => JSON.stringify(row));
  const escaped = lines.map((line) =>
    line.replace(/[a-z]/, (c) => `\\u00${c.charCodeAt(0).toString(16)}`).replace(/^{"\\u0074/, '{"t'),
  );
  const forms = [
    lines.join("\n"),
    `\ufeff${lines.join("\r\n")}\r\n`,
    lines.toReversed().join("\n\n"),
    escaped.join("\n"),
    rows.map(({ text, label }) => JSON.stringify({ id: 7, label, text })).join("\n"),
  ];
  const budget = ["--budget-epsilon", "0.7"];
  const codes: (number | null)[] = [];
  for (const [i, form] of forms.entries()) {
    const train = ["--train", file(`${i}.jsonl`, form), "--steps", "2", "--batch-size", "4"];
    codes.push((await softpost("tune", ...inputs, ...train, ...noise, "--out", join(folder, `${i}`), ...budget)).code);
  }
  expect(codes).toEqual([0, 0, 1, 1, 1]);

  const less = ["--train", file("less.jsonl", lines.slice(1).join("\n")), "--steps", "2", "--batch-size", "4"];
  const alone = await softpost("tune", ...inputs, ...less, ...noise, "--out", join(folder, "x"), ...budget);
  expect(alone.code, alone.stderr).toBe(0);
  const name = /say --dataset ([0-9a-f]{32})/.exec(alone.stderr)?.[1];
  expect(alone.stderr).toMatch(
    new RegExp(`${lines.length - 1} of the ${lines.length - 1} rows .* ${name} \\(2 runs\\)`),
  );
  const together = await softpost(
    "tune",
    ...inputs,
    ...less,
    ...noise,
    "--out",
    join(folder, "y"),
    ...budget,
    "--dataset",
    name!,
  );
  expect(together.stderr).toMatch(/budget does not allow/);
  const shown = await softpost("privacy", "ledger", "--dataset", name!, "--json");
  expect(JSON.parse(shown.stdout).ledgers[0].runs.length).toBe(2);
});

test("a budget needs differential privacy", async () => {
  const { code, stderr } = await softpost("tune", ...inputs, ...train, "--out", "nowhere", "--budget-epsilon", "3");
  expect([code, stderr]).toEqual([2, expect.stringContaining("--budget-epsilon needs")]);
});
