import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accuracyChart, lossChart } from "../../examples/charts.ts";
import type { Results } from "./results.ts";
import {
  BUDGET_HEAD,
  budgetHistory,
  headline,
  KINDS_HEAD,
  privacyLines,
  SENT_HEAD,
  sentKinds,
  sentRows,
  TABLE_HEAD,
  TRANSFER_HEAD,
  tableNotes,
  tableRows,
  transferRows,
} from "./tables.ts";

/** Colours and type of the console. */
const TOKENS = readFileSync(new URL("../../web/style/tokens.css", import.meta.url), "utf8").trim();

/**
 * Writes `report.md` with its pictures beside it and `report.html`, which needs no other file.
 *
 * @returns the paths of the two
 */
export function writeReport(folder: string, results: Results): { markdown: string; html: string } {
  mkdirSync(folder, { recursive: true });
  const pictures = drawAll(results);
  for (const { file, svg } of pictures) writeFileSync(join(folder, file), svg);
  const blocks = describe(results);
  const markdown = join(folder, "report.md");
  const html = join(folder, "report.html");
  writeFileSync(markdown, blocks.map(toMarkdown).join("\n\n").concat("\n"));
  writeFileSync(html, page(blocks.map((block) => toHtml(block, pictures)).join("\n")));
  return { markdown, html };
}

interface Picture {
  readonly file: string;
  readonly title: string;
  readonly svg: string;
}

function drawAll({ tasks, distillation }: Results): Picture[] {
  const loss = (file: string, title: string, curves: Parameters<typeof lossChart>[1]) => ({
    file,
    title,
    svg: lossChart(title, curves),
  });
  return [
    loss("distillation-loss.svg", "Distillation: loss", [distillation.curve]),
    ...tasks.flatMap((task) => [
      { file: `${task.name}-accuracy.svg`, title: `${task.name}: accuracy`, svg: accuracyChart(task) },
      loss(`${task.name}-tuning-loss.svg`, `${task.name}: loss while tuning`, task.tuning),
      loss(`${task.name}-transfer-loss.svg`, `${task.name}: loss while transferring`, task.transfer),
    ]),
  ];
}

/** A report is a list of these, whatever it is written as. */
type Block =
  | { readonly kind: "heading"; readonly level: 1 | 2; readonly text: string }
  | { readonly kind: "paragraph"; readonly text: string }
  | { readonly kind: "lead"; readonly text: string }
  | { readonly kind: "table"; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly kind: "list"; readonly items: readonly string[] }
  | { readonly kind: "picture"; readonly file: string }
  | { readonly kind: "folded"; readonly summary: string; readonly inside: Block };

/** The result first, then what left the client, what it cost, what of the privacy is spent, and at last how it went. */
function describe(results: Results): Block[] {
  const { tasks, distillation, seconds } = results;
  return [
    { kind: "heading", level: 1, text: "softpost demo" },
    ...tasks.flatMap((task): Block[] => [
      { kind: "lead", text: headline(task) },
      { kind: "picture", file: `${task.name}-accuracy.svg` },
    ]),
    {
      kind: "paragraph",
      text:
        "A provider hosts the target, a small language model, and publishes a student of one of its layers. A client tunes " +
        "soft prompts on the student with private data, with and without differential privacy, and sends only these, over HTTP. " +
        "The provider's batch jobs transfer them to the target with public texts. " +
        `All of it ran on this machine in ${seconds.toFixed(0)} seconds.`,
    },
    ...whatLeft(results),
    { kind: "heading", level: 2, text: "What the transfers cost" },
    { kind: "table", head: TRANSFER_HEAD, rows: transferRows(results) },
    {
      kind: "folded",
      summary: "All budgets",
      inside: { kind: "table", head: BUDGET_HEAD, rows: budgetHistory(results) },
    },
    { kind: "heading", level: 2, text: "Privacy" },
    { kind: "list", items: privacyLines(results.budgets) },
    {
      kind: "paragraph",
      text:
        "The ledger composes all prompts that were released from one data set. The prompt without privacy came second and was admitted only " +
        "because this tenant has no privacy limit: with one (softpost serve --epsilon-limit) it would have been refused. What was tuned without " +
        "privacy stays so, whatever else was released.",
    },
    ...tasks.flatMap((task): Block[] => [
      { kind: "heading", level: 2, text: `Task: ${task.name}` },
      { kind: "paragraph", text: `${task.about} Classes: ${task.classes.join(", ")}.` },
      { kind: "table", head: TABLE_HEAD, rows: tableRows(task) },
      { kind: "list", items: tableNotes(task) },
      { kind: "picture", file: `${task.name}-tuning-loss.svg` },
      { kind: "picture", file: `${task.name}-transfer-loss.svg` },
    ]),
    { kind: "heading", level: 2, text: "The student" },
    {
      kind: "paragraph",
      text: `Distilled for ${distillation.steps} steps in ${distillation.seconds.toFixed(0)} seconds, once for all tasks.`,
    },
    { kind: "picture", file: "distillation-loss.svg" },
  ];
}

function whatLeft({ sent }: Results): Block[] {
  const total = sent.reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    { kind: "heading", level: 2, text: "What left the client" },
    {
      kind: "paragraph",
      text:
        `A door between the two wrote down every request: ${total} bytes in all. Each part was compared with the client's files, and ` +
        "nothing but manifests, prompts and the options of the transfer was among them, and at last the test texts that the provider was asked to label. " +
        "No private training text left; a text that is sent to be labelled is shown to the provider.",
    },
    { kind: "table", head: KINDS_HEAD, rows: sentKinds(sent) },
    {
      kind: "folded",
      summary: `The whole list, ${sent.length} rows`,
      inside: { kind: "table", head: SENT_HEAD, rows: sentRows(sent) },
    },
  ];
}

function toMarkdown(block: Block): string {
  switch (block.kind) {
    case "heading":
      return `${"#".repeat(block.level)} ${block.text}`;
    case "paragraph":
      return block.text;
    case "lead":
      return `**${block.text}**`;
    case "folded":
      return `<details><summary>${escapeHtml(block.summary)}</summary>\n\n${toMarkdown(block.inside)}\n\n</details>`;
    case "list":
      return block.items.map((item) => `- ${item}`).join("\n");
    case "picture":
      return `![${block.file}](${block.file})`;
    case "table": {
      const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
      return [block.head, block.head.map(() => "---"), ...block.rows].map(line).join("\n");
    }
  }
}

function toHtml(block: Block, pictures: readonly Picture[]): string {
  switch (block.kind) {
    case "heading":
      return `<h${block.level}>${escapeHtml(block.text)}</h${block.level}>`;
    case "paragraph":
      return `<p>${escapeHtml(block.text)}</p>`;
    case "lead":
      return `<p class="lead">${escapeHtml(block.text)}</p>`;
    case "folded":
      return `<details><summary>${escapeHtml(block.summary)}</summary>${toHtml(block.inside, pictures)}</details>`;
    case "list":
      return `<ul>${block.items.map((item) => `<li>${escapeHtml(item)}</li>`).join("")}</ul>`;
    case "picture": {
      const { svg, title } = pictures.find(({ file }) => file === block.file)!;
      return `<figure role="img" aria-label="${escapeHtml(title)}">${svg}</figure>`;
    }
    case "table": {
      const line = (cells: readonly string[], tag: string) =>
        `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
      return `<div class="scroll"><table><thead>${line(block.head, "th")}</thead><tbody>${block.rows.map((row) => line(row, "td")).join("")}</tbody></table></div>`;
    }
  }
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function page(body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>softpost demo</title>
<style>
${TOKENS}
body { font: 16px/1.5 var(--sans); max-width: 800px; margin: 2rem auto; padding: 0 1rem; color: var(--text); background: var(--page); }
.lead { font-size: 1.15rem; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--quiet); }
summary { cursor: pointer; margin: .5rem 0; }
/* The pictures are drawn on white. */
figure { margin: 1rem 0; padding: .5rem; overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: var(--radius); }
</style>
${body}
</html>
`;
}
