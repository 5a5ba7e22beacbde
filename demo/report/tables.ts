import { standardError } from "../../examples/charts.ts";
import type { Budget } from "../../shared/protocol/budget.ts";
import type { Cost } from "../../shared/protocol/cost.ts";
import type { MethodResult, Results, Sent, TaskResults } from "./results.ts";

export const TABLE_HEAD = ["method", "model and prompt", "accuracy %", "private", "public", "seconds"] as const;

/** The rows of a task's table as text cells, in the order of `TABLE_HEAD`. */
export function tableRows({ methods, testExamples }: TaskResults): string[][] {
  return methods.map((row) => [
    row.method,
    row.how,
    accuracyText(row, testExamples),
    count(row.privateExamples),
    count(row.publicExamples),
    row.seconds === 0 ? "–" : row.seconds.toFixed(0),
  ]);
}

/** What to keep in mind when reading a task's table. */
export function tableNotes({ privacy, bagOfWords, testExamples }: TaskResults): string[] {
  return [
    `± is one standard error over the ${testExamples} test examples.`,
    "private, public: how many examples of either kind went into the prompt. Seconds: what making it took here.",
    `DP: ε = ${privacy.epsilon.toFixed(2)}, δ = ${privacy.delta.toExponential(1)} (add-or-remove-one neighbours).`,
    `A bag-of-words logistic regression on the same private examples reaches ${percent(bagOfWords)} %: for these tasks ` +
      "a language model this small is not the best tool. What the table shows is how much of a prompt's effect travels.",
  ];
}

function accuracyText({ accuracy }: MethodResult, examples: number): string {
  return `${percent(accuracy)} ± ${percent(standardError(accuracy, examples))}`;
}

function percent(share: number): string {
  return (100 * share).toFixed(1);
}

function count(examples: number): string {
  return examples === 0 ? "–" : String(examples);
}

/** The table in columns, for a terminal. */
export function textTable(task: TaskResults): string {
  return columns([TABLE_HEAD, ...tableRows(task)]);
}

/** What came out of a task, in a sentence. */
export function headline({ name, methods, testExamples, privacy }: TaskResults): string {
  const of = (method: string) => {
    const found = methods.find((row) => row.method === method);
    return found && `${percent(found.accuracy)} %`;
  };
  const [post, dp, zero, student] = ["POST", "DP POST", "full zero-shot", "compressed PT"].map(of);
  const moved = `${name}: with the transferred prompt the target gets ${post} of ${testExamples} test texts right`;
  const dpText = dp ? `, with privacy (ε = ${privacy.epsilon.toFixed(2)}) ${dp}` : "";
  const compared = [zero && `without a prompt ${zero}`, student && `the client's own student ${student}`].filter(
    Boolean,
  );
  return `${moved}${dpText}${compared.length > 0 ? `; ${compared.join(", ")}` : ""}.`;
}

export const KINDS_HEAD = ["what", "how often", "bytes"] as const;

/** What the client sent, a row a kind. */
export function sentKinds(sent: readonly Sent[]): string[][] {
  const kinds: readonly (readonly [RegExp, string])[] = [
    [/^nothing$/, "requests without a body"],
    [/softpost\.json and options/, "quotes: a manifest with the options"],
    [/softpost\.json$/, "manifests"],
    [/adapter_model\.safetensors$/, "prompts"],
    [/^options/, "options of a transfer"],
    [/^texts of/, "test texts to be labelled, which the provider sees"],
  ];
  const kindOf = ({ what }: Sent) => kinds.find(([pattern]) => pattern.test(what))?.[1] ?? what;
  // A row may stand for several requests.
  const times = ({ request }: Sent) => Number(/× (\d+)$/.exec(request)?.[1] ?? 1);
  return [...Map.groupBy(sent, kindOf)].map(([kind, rows]) => [
    kind,
    String(rows.reduce((sum, row) => sum + times(row), 0)),
    String(rows.reduce((sum, { bytes }) => sum + bytes, 0)),
  ]);
}

/** What was released of each data set, in words. */
export function privacyLines({ between, after }: Results["budgets"]): string[] {
  const { datasets, limit } = after.privacy;
  const limitText = limit ? `the limit is ε = ${limit.epsilon} at δ = ${limit.delta}` : "no limit is set";
  return datasets.map(({ dataset, prompts, epsilon, delta }) => {
    const before = between.flatMap(({ privacy }) => privacy.datasets).find((each) => each.dataset === dataset);
    const plain = epsilon === null ? prompts - (before?.epsilon == null ? 0 : before.prompts) : 0;
    const together =
      epsilon === null ? notPrivate(plain) : `together ε = ${epsilon.toFixed(2)} at δ = ${delta.toExponential(0)}`;
    const alone =
      epsilon === null && before?.epsilon != null
        ? ` Before it, ε = ${before.epsilon.toFixed(2)} at δ = ${before.delta.toExponential(0)} was spent.`
        : "";
    return `${dataset}: ${prompts} ${prompts === 1 ? "prompt" : "prompts"}, ${together}; ${limitText}.${alone}`;
  });
}

const notPrivate = (count: number) => `${count === 1 ? "one" : count} of them not private`;

export const SENT_HEAD = ["request", "bytes", "what"] as const;

export function sentRows(sent: readonly Sent[]): string[][] {
  return sent.map(({ request, bytes, what }) => [request, String(bytes), what]);
}

/** What the client sent, for a terminal. */
export function sentText(sent: readonly Sent[]): string {
  const total = sent.reduce((sum, { bytes }) => sum + bytes, 0);
  return `Everything that left the client's folder, ${total} bytes:\n${columns([SENT_HEAD, ...sentRows(sent)])}`;
}

export const TRANSFER_HEAD = [
  "prompt",
  "quoted",
  "at most",
  "device seconds",
  "cost",
  "agreement with the student",
] as const;

export function transferRows({ transfers }: Results): string[][] {
  const price = ({ micros }: Cost) => money(micros);
  return transfers.map(({ prompt, estimate, reserve, cost, travel }) => [
    prompt,
    price(estimate),
    price(reserve),
    String(cost.deviceSeconds),
    price(cost),
    `${percent(travel.agreement)} % of ${travel.heldOut} public texts`,
  ]);
}

/** Every budget with what is spent or reserved of it, and its limit. */
export function budgetRows({ money: { used, reserved, limit }, ...budget }: Budget): [string, string, string][] {
  const { deviceSeconds, virtualTokens, daily, privacy, inference } = budget;
  const count = (part: { used: number; reserved: number }) => String(part.used + part.reserved);
  const privacyLimit = privacy.limit ? `ε = ${privacy.limit.epsilon} at δ = ${privacy.limit.delta}` : "no limit";
  return [
    ["money", money(used + reserved), money(limit)],
    ["device seconds", count(deviceSeconds), String(deviceSeconds.limit)],
    ["virtual tokens", count(virtualTokens), String(virtualTokens.limit)],
    ["transfers today", String(daily.used), String(daily.limit)],
    ...(inference
      ? [["tokens", count(inference.tokens), String(inference.tokens.limit)] satisfies [string, string, string]]
      : []),
    ...privacy.datasets.map(({ dataset, prompts, epsilon, delta }): [string, string, string] => {
      const released = `${prompts} ${prompts === 1 ? "prompt" : "prompts"}`;
      const total = epsilon === null ? "not private" : `ε = ${epsilon.toFixed(2)} at δ = ${delta.toExponential(0)}`;
      return [`privacy of ${dataset}`, `${released}: ${total}`, privacyLimit];
    }),
  ];
}

export const BUDGET_HEAD = ["budget", "limit", "before", "with privacy only", "after"] as const;

/** The budgets as they went: at the start, with only the prompts with privacy of each data set, and at the end. */
export function budgetHistory({ budgets: { before, between, after } }: Results): string[][] {
  const find = (budget: Budget, name: string) => budgetRows(budget).find(([row]) => row === name)?.[1];
  return budgetRows(after).map(([name, spent, limit]) => {
    const first = between.map((budget) => find(budget, name)).find((value) => value !== undefined);
    const kept = name.startsWith("privacy") ? first : undefined;
    return [name, limit, find(before, name) ?? "–", kept ?? "", spent];
  });
}

/** Millionths of a dollar as dollars. */
export function money(micros: number): string {
  return `${(micros / 1e6).toFixed(3)} USD`;
}

/** Cells in columns; those whose second row is no number stand to the left. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const isText = rows[0]!.map((_, column) => !/^[\d–]/.test(rows[1]?.[column] ?? ""));
  const pad = (cell: string, column: number) =>
    isText[column] ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return rows.map((row) => row.map(pad).join("  ").trimEnd()).join("\n");
}
