/** A student, a file of private rows, and what is asked of them. All of it stays in this thread, which sends nothing to anybody but the page. */
import { fs } from "memfs";
import { runIdOf } from "../../../client/run-id.ts";
import {
  type Data,
  firstTexts,
  groupedRows,
  readLabels,
  readTexts,
  readUnitValues,
} from "../../../shared/data/jsonl.ts";
import { hashFile, hashModel } from "../../../shared/data/model-files.ts";
import { rowsOf } from "../../../shared/data/rows/open.ts";
import { TITLE } from "../../../shared/data/rows/row.ts";
import type { GraphEngine } from "../../../shared/graph/graph-engine.ts";
import type { Runtime } from "../../../shared/graph/session-host.ts";
import { checkTexts, checkWords } from "../../../shared/operations/check-task.ts";
import { evaluateRows } from "../../../shared/operations/evaluate.ts";
import { type OpenModel, openModel } from "../../../shared/operations/open-model.ts";
import { proposeTask } from "../../../shared/operations/propose-task.ts";
import { sampleStep } from "../../../shared/operations/sample-step.ts";
import { writePrompt } from "../../../shared/operations/soft-prompt.ts";
import { encodedRows, type TaskRows } from "../../../shared/operations/texts.ts";
import { checkTuning, type TuneRequest, tunePrompt } from "../../../shared/operations/tune.ts";
import { scheduleFor } from "../../../shared/operations/tune-defaults.ts";
import { planFor } from "../../../shared/operations/tune-plan.ts";
import type { PrivacyPlan } from "../../../shared/privacy/plan.ts";
import { attackFigures } from "../../../shared/privacy/statement.ts";
import { ProblemError } from "../../../shared/protocol/errors.ts";
import { MANIFEST_FILE, parseManifest } from "../../../shared/protocol/manifest.ts";
import { cryptoRandom } from "../../../shared/protocol/random.ts";
import { parseTask } from "../../../shared/protocol/task.ts";
import type { Watch } from "../../../shared/training/events.ts";
import { dataFolder, PROMPT, STUDENT, withoutFolders } from "./folders.ts";
import { charge, finishStored } from "./ledger.ts";
import type { Calls, ColumnNames, Finished, Planned, Preview, Settings, StudentFiles } from "./messages.ts";
import { STATE, withRun } from "./runs.ts";
import { isHeldOut } from "./split.ts";
import { startGpu, startRuntime } from "./start-runtime.ts";
import { bringFolder } from "./storage.ts";
import { trustedEngine } from "./trusted-engine.ts";

/** Private rows lie in memory several times while they are read. */
const MAX_DATA_BYTES = 512 * 2 ** 20;
const SHOWN_ROWS = 5;
const SHOWN_CHARACTERS = 300;
const PROPOSED_FROM = 1000;
/** So much is lost at most when the tab is closed in the middle. */
const SAVE_EVERY_MS = 5_000;

type Answers = { [K in keyof Calls]: (...args: Parameters<Calls[K]>) => Promise<ReturnType<Calls[K]>> };

/** Answers what the page asks about its student and its data. */
export class Tuner
  implements Pick<Answers, "openStudent" | "openData" | "readLabels" | "proposeTask" | "checkTask" | "plan" | "tune">
{
  readonly #onEvent: NonNullable<Watch["onEvent"]>;
  #student: { readonly files: StudentFiles; readonly model: OpenModel } | undefined;
  #data: { readonly folder: string; readonly path: string; readonly name: string } | undefined;
  #runtime: Runtime | undefined;
  #gpu: Runtime | undefined;
  #isRunning = false;
  #opened = 0;
  #abort = new AbortController();

  constructor(onEvent: NonNullable<Watch["onEvent"]>) {
    this.#onEvent = onEvent;
  }

  /** Opens a student that was downloaded. @throws ProblemError if its files aren't those that the catalogue names, or a run is on */
  async openStudent(files: StudentFiles) {
    this.#requireRest();
    await bringFolder(`students/${files.digest}`, STUDENT);
    const { digest } = await hashModel(STUDENT);
    if (digest !== files.digest) {
      const detail = `The files of ${files.id} that this browser keeps are not those of the catalogue. Download it again.`;
      throw new ProblemError("The student is not complete", detail);
    }
    const model = await openModel(STUDENT, { id: files.id, digest });
    this.#student = { files, model };
    return { positions: model.checkpoint.config.positions, notes: model.checkpoint.notes };
  }

  /** Takes a file of private rows into this thread's memory. What was there stays if it can't be read. @throws ProblemError also if a run is on */
  async openData(file: File): Promise<Preview> {
    this.#requireRest();
    if (file.size > MAX_DATA_BYTES) {
      const detail = `${file.name} has ${file.size} bytes; a tab takes ${MAX_DATA_BYTES} at most. The command line has no such limit.`;
      throw new ProblemError(TITLE, detail);
    }
    const folder = dataFolder(++this.#opened);
    const path = `${folder}/${file.name.replaceAll("/", "_")}`;
    fs.mkdirSync(folder);
    fs.writeFileSync(path, new Uint8Array(await file.arrayBuffer()));
    try {
      const rows = await firstRows(path);
      if (rows.length === 0) throw new ProblemError(TITLE, `${file.name} has no row that can be read.`);
      if (this.#data) fs.rmSync(this.#data.folder, { recursive: true });
      this.#data = { folder, path, name: file.name };
      return { name: file.name, size: file.size, columns: [...new Set(rows.flatMap((row) => Object.keys(row)))], rows };
    } catch (error) {
      fs.rmSync(folder, { recursive: true });
      throw error;
    }
  }

  readLabels(columns: ColumnNames) {
    return readLabels(this.#dataWith(columns));
  }

  /** A task for the data's labels. */
  async proposeTask(name: string, columns: ColumnNames) {
    const data = this.#dataWith(columns);
    const texts = await firstTexts(data, PROPOSED_FROM);
    return proposeTask({ name, words: new Map() }, await readLabels(data), texts, this.#model);
  }

  /** A task as its file has it, and how the student reads its words and some texts. */
  async checkTask(json: string, texts: readonly string[]) {
    const task = parseTask(json, "task.json");
    return { task, words: await checkWords(task, this.#model), texts: await checkTexts(task, this.#model, texts) };
  }

  async plan(settings: Settings): Promise<Planned> {
    const prepared = await this.#prepare(settings);
    const { train, heldOut, schedule, plan, units, notes } = prepared;
    await checkTuning(this.#request(settings, { ...prepared, digest: "" }, { resume: false }));
    return {
      rows: train.rows.length,
      records: units?.length ?? train.rows.length,
      heldOut: heldOut?.rows.length ?? 0,
      schedule,
      plan,
      attacks: plan ? attackFigures(plan) : [],
      notes,
    };
  }

  /** Tunes, measures on the rows that were kept back, and gives the prompt's folder. */
  async tune(settings: Settings, resume?: string): Promise<Finished> {
    this.#requireRest();
    this.#isRunning = true;
    this.#abort = new AbortController();
    try {
      return await this.#run(settings, resume);
    } finally {
      this.#isRunning = false;
    }
  }

  async #run(settings: Settings, resume: string | undefined): Promise<Finished> {
    const prepared = await this.#prepare(settings);
    const { heldOut, plan } = prepared;
    const runtime = this.#runtime;
    if (!runtime) throw new ProblemError("Tuning can't begin", "ONNX Runtime wasn't loaded.");
    const { path, name } = this.#openData;
    const { sha256 } = await hashFile(path);
    const student = this.#student!.files;
    const run = { student, settings, data: { name, sha256 }, began: new Date().toISOString() };
    return withRun(run, resume, async ({ id, save, finish }) => {
      let total: Finished["total"] = null;
      const pay = async () => {
        // Its name is kept first: a run that goes on is not charged again.
        runIdOf(STATE, resume !== undefined);
        await save();
        const note = { out: id, task: settings.task.name, model: student.id };
        const { budgetEpsilon, dataset } = settings;
        const run = {
          plan: plan!,
          train: this.#dataWith(settings.columns),
          dataset,
          budgetEpsilon,
          statePath: STATE,
          resume: true,
          note,
        };
        total = await charge(run, (text) => this.#onEvent({ kind: "note", text }));
        // A run that was finished before has another name now.
        await save();
      };
      let saving = Promise.resolve();
      const watch: Watch = {
        signal: this.#abort.signal,
        saveEvery: SAVE_EVERY_MS,
        onEvent: (event) => {
          if (event.kind === "checkpoint") saving = saving.then(save);
          this.#onEvent(event);
        },
      };
      const how = { resume: resume !== undefined, pay };
      const request = await checkTuning(this.#request(settings, { ...prepared, digest: sha256 }, how));
      const sample = (engine: GraphEngine) => sampleStep(request, engine);
      const say = (text: string) => this.#onEvent({ kind: "note", text });
      // A private run's own check is for WebAssembly, which computes a row's vector alike in any company.
      const engine = await trustedEngine(runtime, plan ? undefined : this.#gpu, sample, say);
      try {
        const tuned = await tunePrompt(request, engine, watch);
        await saving;
        fs.rmSync(PROMPT, { recursive: true, force: true });
        fs.mkdirSync(PROMPT);
        await writePrompt(PROMPT, tuned);
        const { model } = this.#student!;
        // The prompt is there: to stop now would lose it.
        const measuring = { onEvent: this.#onEvent };
        const measured = heldOut && (await evaluateRows({ model, prompt: tuned.prompt }, heldOut, engine, measuring));
        if (plan) await finishStored(STATE);
        await finish();
        return {
          files: promptFiles(),
          manifest: await readManifest(),
          loss: tuned.loss,
          measured: measured ?? null,
          total,
        };
      } catch (error) {
        await saving;
        // Where no step is saved there is nothing to go on with.
        if (!fs.existsSync(STATE)) await finish();
        throw error;
      } finally {
        await engine.close();
      }
    });
  }

  startRuntime(program: ArrayBuffer, threads: number): void {
    this.#runtime = startRuntime(program, threads);
  }

  startGpu(program: ArrayBuffer): void {
    this.#gpu = startGpu(program);
  }

  /** Stops the run after the step that it is in. */
  stop(): void {
    this.#abort.abort();
  }

  async #prepare(settings: Settings) {
    const notes: string[] = [];
    const data = this.#dataWith(settings.columns);
    const say = (text: string) => notes.push(withoutFolders(text));
    const all = await encodedRows(data, settings.task, this.#model, say);
    const { privacy, steps, batchSize, learningRate, averagedSteps } = settings;
    const owners = privacy?.unit === undefined ? undefined : await readUnitValues(data, privacy.unit);
    const held = (owners ?? (await readTexts(data))).map((value) => isHeldOut(value, settings.heldOut));
    const train = only(all, (i) => !held[i]);
    const heldOut = held.includes(true) ? only(all, (i) => held[i]!) : undefined;
    if (train.rows.length === 0) throw new ProblemError(TITLE, "All rows are kept back; none is left to tune on.");
    const units = owners && groupedRows(owners.filter((_, i) => !held[i]));
    const records = units?.length ?? train.rows.length;
    const given = { steps, batchSize, learningRate, averagedSteps };
    const schedule = scheduleFor(records, privacy !== undefined, given);
    const plan = privacy ? planFor({ ...privacy, privacyUnit: privacy.unit }, records, schedule) : null;
    return { train, heldOut, schedule, plan, units, notes };
  }

  #request(
    { task, promptTokens, optimizer, order }: Settings,
    { train, schedule, plan, units, digest }: Prepared & { readonly digest: string },
    { resume, pay = async () => {} }: { readonly resume: boolean; readonly pay?: () => Promise<void> },
  ): TuneRequest {
    return {
      model: this.#model,
      task,
      examples: train.rows,
      dataDigest: digest,
      start: promptTokens,
      ...schedule,
      optimizer,
      order,
      privacy: plan && { plan, units, random: cryptoRandom, charge: pay },
      state: { path: STATE, resume },
    };
  }

  /** What a run is on is read when it is charged: nothing may take its place before. */
  #requireRest(): void {
    if (this.#isRunning) throw new ProblemError("A run is on", "Pause it, or wait for its end.", { status: 409 });
  }

  get #model(): OpenModel {
    if (!this.#student) throw new ProblemError("There is no student", "Pick one first.");
    return this.#student.model;
  }

  get #openData() {
    if (!this.#data) throw new ProblemError("There are no data", "Drop a file of rows first.");
    return this.#data;
  }

  #dataWith({ text, label, target }: ColumnNames): Data {
    const columns = { text, ...(label !== undefined && { label }), ...(target !== undefined && { target }) };
    return { path: this.#openData.path, columns };
  }
}

/** What a run learns from, and how. */
interface Prepared {
  readonly train: TaskRows;
  readonly schedule: Planned["schedule"];
  readonly plan: PrivacyPlan | null;
  /** The rows of each unit of privacy, if it isn't a row. */
  readonly units: readonly (readonly number[])[] | undefined;
}

function only(all: TaskRows, keep: (index: number) => boolean): TaskRows {
  if (all.kind === "generation") return { ...all, rows: all.rows.filter((_, i) => keep(i)) };
  return { ...all, rows: [...all.rows].filter((_, i) => keep(i)) };
}

/** The first rows that can be read, as texts. */
async function firstRows(path: string): Promise<Preview["rows"]> {
  const rows: Record<string, string>[] = [];
  for await (const { fields } of rowsOf(path)) {
    if (fields === undefined) continue;
    rows.push(Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, shown(value)])));
    if (rows.length === SHOWN_ROWS) break;
  }
  return rows;
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

function promptFiles(): Finished["files"] {
  const names = fs.readdirSync(PROMPT) as string[];
  return names.map((name) => ({ name, bytes: new Uint8Array(fs.readFileSync(`${PROMPT}/${name}`) as Uint8Array) }));
}

async function readManifest() {
  return parseManifest(fs.readFileSync(`${PROMPT}/${MANIFEST_FILE}`, "utf8") as string, MANIFEST_FILE);
}
