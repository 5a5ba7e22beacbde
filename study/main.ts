/**
 * `npm run study -- --models DIR --data DIR --out DIR`: every way of getting a prompt for a target, for tasks × public sets × seeds.
 * Settings are chosen by validation rows, which are split off the private rows to train on, and by held-out public texts. Test rows are read at
 * the end, once every prompt is made. What is done is kept: a study that was stopped goes on. README.md tells more.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { wholeNumber } from "../client/options.ts";
import { createIo, reportFailure } from "../client/output.ts";
import { hashModel } from "../shared/data/model-files.ts";
import { Engine } from "../shared/graph/engine.ts";
import { openModel } from "../shared/operations/open-model.ts";
import { type PrivateData, type PublicTexts, readPrivate, readPublic, readTest, tasksIn } from "./data.ts";
import { promptDigest, rowsDigest } from "./digest.ts";
import { fitAll, type Method } from "./fit.ts";
import { TaskModel } from "./model.ts";
import { writeReport } from "./report.ts";
import { DEFAULTS, readSettings } from "./settings.ts";
import { Store } from "./store.ts";

interface Options {
  readonly models: string;
  readonly data: string;
  readonly out: string;
  readonly tasks?: readonly string[];
  readonly public?: readonly string[];
  readonly seeds: number;
  readonly settings: string;
  readonly threads: number;
}

const program = new Command("study")
  .requiredOption("--models <dir>", "folder of models: each a folder with target/ and student/")
  .requiredOption("--data <dir>", "folder of data sets: task.json, train.jsonl, test.jsonl, public.jsonl")
  .requiredOption("--out <dir>", "where results are kept; give it again to go on")
  .option("--tasks <name...>", "data sets whose tasks are studied (default: all with a task.json)")
  .option("--public <name...>", "data sets that serve as public texts (default: each task's own public.jsonl)")
  .option("--seeds <n>", "tunings and transfers of each", wholeNumber(1), DEFAULTS.seeds)
  .option("--settings <json>", "what differs from the settings of study/settings.ts", "{}")
  .option("--threads <n>", "CPU threads", wholeNumber(1), 2);

try {
  await study(program.parse().opts<Options>());
} catch (error) {
  // An engine's threads would keep the program from ending.
  process.exit(
    reportFailure(
      error,
      createIo(process.stdout, process.stderr, () => ({})),
    ),
  );
}

async function study({
  models,
  data,
  out,
  tasks,
  public: sets,
  seeds,
  settings: given,
  threads,
}: Options): Promise<void> {
  const settings = readSettings(given, seeds);
  const store = new Store(join(out, "results"));
  const engine = new Engine({ threads });
  const fitted: {
    path: string;
    data: PrivateData;
    models: Record<"target" | "student", TaskModel>;
    methods: Method[];
  }[] = [];
  const isModel = (name: string) =>
    existsSync(join(models, name, "target")) && existsSync(join(models, name, "student"));
  for (const model of readdirSync(models).sort().filter(isModel)) {
    const open = async (id: string) => {
      const folder = join(models, model, id);
      return openModel(folder, { id, digest: (await hashModel(folder)).digest });
    };
    const [target, student] = [await open("target"), await open("student")];
    for (const name of tasks ?? tasksIn(data)) {
      const rows = await readPrivate(data, name);
      const own = {
        target: await TaskModel.open(engine, target, rows.task),
        student: await TaskModel.open(engine, student, rows.task),
      };
      const publicSets = new Map<string, PublicTexts>();
      for (const set of sets ?? [name]) publicSets.set(set, await readPublic(data, set, settings.publicTexts));
      const path = `${model}/${name}`;
      const methods = await fitAll(store, { path, data: rows, ...own, publicSets }, settings);
      fitted.push({ path, data: rows, models: own, methods });
    }
  }
  const measured = [];
  for (const { path, data: rows, models: own, methods } of fitted) {
    const test = await readTest(data, rows);
    const read = { task: rows.task, rows: rowsDigest(test) };
    const results = [];
    for (const method of methods) {
      const name = `${path}/test/${method.method} ${method.publicSet ?? ""} seed ${method.seed}`;
      const model = own[method.model];
      const facts = { ...read, model: model.digest, prompt: promptDigest(method.prompt) };
      const { figures } = await store.once(name, facts, async () => ({
        figures: { accuracy: await model.accuracy(test, method.prompt) },
      }));
      const { prompt: _, ...rest } = method;
      results.push({ ...rest, test: figures.accuracy });
    }
    measured.push({ path, testRows: test.length, results });
  }
  await engine.close();
  writeReport(out, measured, settings);
}
