import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bagOfWordsAccuracy } from "../../demo/report/bag-of-words.ts";
import type { Results } from "../../demo/report/results.ts";
import { textTable } from "../../demo/report/tables.ts";
import { writeReport } from "../../demo/report/write.ts";
import { type Point, smooth, standardError } from "../../examples/charts.ts";
import type { Budget } from "../../shared/protocol/budget.ts";

const points = (...losses: number[]): Point[] => losses.map((loss, i) => ({ step: i + 1, loss }));

const part = (limit: number, used: number) => ({ limit, used, reserved: 0 });
const budget = (spent: number, datasets: Budget["privacy"]["datasets"]): Budget => ({
  currency: "USD",
  money: part(1e9, spent),
  deviceSeconds: part(1e6, spent / 1000),
  virtualTokens: part(1e6, 50),
  concurrent: { limit: 10, used: 0 },
  daily: { limit: 100, used: datasets.length, resets: "2026-01-01T00:00:00Z" },
  privacy: { limit: null, datasets },
});
const released = { dataset: "mailbox-data", delta: 1e-5 };

const results: Results = {
  tasks: [
    {
      name: "mailbox",
      about: "Spam <or> ham?",
      classes: ["ham", "spam"],
      testExamples: 400,
      methods: [
        {
          method: "full zero-shot",
          how: "no prompt",
          accuracy: 0.5,
          privateExamples: 0,
          publicExamples: 0,
          seconds: 0,
        },
        { method: "POST", how: "moved", accuracy: 0.8, privateExamples: 100, publicExamples: 50, seconds: 12.4 },
      ],
      privacy: { epsilon: 7.994, delta: 1e-4 },
      bagOfWords: 0.957,
      tuning: [{ name: "student", losses: points(3, 2, 1) }],
      transfer: [{ name: "POST", losses: points(2, 1) }],
    },
  ],
  distillation: { seconds: 60, steps: 3, curve: { name: "student", losses: points(9, 8, 7) } },
  transfers: [
    {
      prompt: "mailbox, with privacy",
      estimate: { deviceSeconds: 30, micros: 30_000 },
      reserve: { deviceSeconds: 60, micros: 60_000 },
      cost: { deviceSeconds: 21, micros: 21_000 },
      travel: { heldOut: 200, divergence: 0.2, agreement: 0.875 },
    },
  ],
  budgets: {
    before: budget(0, []),
    between: [budget(60_000, [{ ...released, prompts: 1, epsilon: 9.123 }])],
    after: budget(42_000, [{ ...released, prompts: 2, epsilon: null }]),
  },
  sent: [
    { request: "POST /v1/transfers", what: "mailbox/prompt/adapter_model.safetensors", bytes: 1000 },
    { request: "POST /v1/transfers", what: "mailbox/prompt/softpost.json", bytes: 234 },
  ],
  seconds: 300,
};

describe("writeReport", () => {
  const folder = join(mkdtempSync(join(tmpdir(), "report-")), "new");
  const paths = writeReport(folder, results);
  const markdown = readFileSync(paths.markdown, "utf8");
  const html = readFileSync(paths.html, "utf8");

  it("writes a table with every method, its accuracy and standard error", () => {
    expect(markdown).toContain("| POST | moved | 80.0 ± 2.0 | 100 | 50 | 12 |");
    expect(markdown).toContain("| full zero-shot | no prompt | 50.0 ± 2.5 | – | – | – |");
    expect(html).toContain("<td>80.0 ± 2.0</td>");
    expect(textTable(results.tasks[0]!)).toMatch(/^POST +moved +80\.0 ± 2\.0 +100 +50 +12$/m);
  });

  it("says what left the client, what was promised and what a bag of words reaches", () => {
    expect(markdown).toContain("1234 bytes in all");
    expect(markdown).toContain("| POST /v1/transfers | 1000 | mailbox/prompt/adapter_model.safetensors |");
    expect(markdown).toContain("ε = 7.99, δ = 1.0e-4");
    expect(markdown).toContain("reaches 95.7 %");
  });

  it("says what the transfers cost, and how the budgets went", () => {
    expect(markdown).toContain(
      "| mailbox, with privacy | 0.030 USD | 0.060 USD | 21 | 0.021 USD | 87.5 % of 200 public texts |",
    );
    expect(markdown).toContain("| money | 1000.000 USD | 0.000 USD |  | 0.042 USD |");
    const privacy =
      "| privacy of mailbox-data | no limit | – | 1 prompt: ε = 9.12 at δ = 1e-5 | 2 prompts: not private |";
    expect(markdown).toContain(privacy);
  });

  it("opens with the result and its picture", () => {
    const first = markdown.indexOf(
      "mailbox: with the transferred prompt the target gets 80.0 % of 400 test texts right; without a prompt 50.0 %.",
    );
    expect(first).toBeGreaterThan(0);
    expect(markdown.indexOf("mailbox-accuracy.svg")).toBeLessThan(markdown.indexOf("What left the client"));
    expect(markdown.indexOf("What left the client")).toBeLessThan(markdown.indexOf("What the transfers cost"));
    expect(html.indexOf("<figure")).toBeLessThan(html.indexOf("<table"));
  });

  it("shows what left a row a kind, and the whole list folded", () => {
    expect(markdown).toContain("| prompts | 1 | 1000 |");
    expect(markdown).toContain("| manifests | 1 | 234 |");
    expect(html).toContain("<details><summary>The whole list, 2 rows</summary>");
  });

  it("says of each data set how many prompts were private", () => {
    const line =
      "mailbox-data: 2 prompts, one of them not private; no limit is set. Before it, ε = 9.12 at δ = 1e-5 was spent.";
    expect(markdown).toContain(line);
  });

  it("puts every picture of the Markdown beside it, and into the page itself", () => {
    const pictures = Array.from(markdown.matchAll(/\]\((.*?)\)/g), (match) => match[1]!);
    expect(pictures).toHaveLength(4);
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(pictures));
    expect(html.match(/<svg/g)).toHaveLength(4);
    expect(html).not.toMatch(/\b(src|href)=/);
    expect(html).toContain("Spam &#60;or&#62; ham?");
  });
});

describe("smooth", () => {
  it("gives means over equal stretches with the number of each one's last step", () => {
    expect(smooth(points(1, 2, 3, 4, 5), 3)).toEqual([
      { step: 2, loss: 1.5 },
      { step: 4, loss: 3.5 },
      { step: 5, loss: 5 },
    ]);
    expect(smooth([], 3)).toEqual([]);
  });
});

describe("standardError", () => {
  it("is that of a share", () => {
    expect(standardError(0.8, 400)).toBeCloseTo(0.02, 12);
    expect(standardError(1, 10)).toBe(0);
  });
});

describe("bagOfWordsAccuracy", () => {
  const rows = (label: string, ...texts: string[]) => texts.map((text) => ({ text, label }));
  const train = [...rows("a", "red apple", "green apple now"), ...rows("b", "red brick", "old brick now")];

  it("is 1 where a word decides, and counts what is wrong", () => {
    expect(bagOfWordsAccuracy(train, [...rows("a", "Apple!"), ...rows("b", "brick new")], ["a", "b"])).toBe(1);
    expect(
      bagOfWordsAccuracy(train, [...rows("a", "apple", "brick"), ...rows("b", "brick", "brick")], ["a", "b"]),
    ).toBe(0.75);
  });
});
