import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bagOfWordsAccuracy } from "../../demo/report/bag-of-words.ts";
import { type Results, smooth, standardError } from "../../demo/report/results.ts";
import { textTable } from "../../demo/report/tables.ts";
import { writeReport } from "../../demo/report/write.ts";

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
      tuning: [{ name: "student", losses: [3, 2, 1] }],
      transfer: [{ name: "POST", losses: [2, 1] }],
    },
  ],
  distillation: { seconds: 60, steps: 3, curve: { name: "student", losses: [9, 8, 7] } },
  sent: [
    { name: "mailbox/prompt/adapter_model.safetensors", bytes: 1000 },
    { name: "mailbox/prompt/softpost.json", bytes: 234 },
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
    expect(markdown).toContain("2 files, 1234 bytes");
    expect(markdown).toContain("ε = 7.99, δ = 1.0e-4");
    expect(markdown).toContain("reaches 95.7 %");
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
    expect(smooth([1, 2, 3, 4, 5], 3)).toEqual([
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
