import { join } from "node:path";
import type { Command } from "commander";
import { type PublicSet, type Student, totalBytes } from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { Api, studentFilePath } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { downloadFolder } from "../api/download.ts";
import { digestRecords } from "../local/model.ts";
import { longRun } from "../long-run.ts";
import type { Io } from "../output.ts";
import { keepCatalogueId } from "../public-names.ts";
import { tableLines } from "../table.ts";
import { bytes, next } from "../words.ts";

interface Options extends ConnectionOptions {
  readonly out?: string;
}

const NOTES = `
A student is a small model that imitates one of the provider's targets: tune on it, and the provider transfers the prompt to the target.
A licence is what the model's card names; only its holder's own text tells what you may.
A public set is a list of texts that the provider has published; a transfer compares student and target on them. Take the one that is most like your texts.

Examples:
  softpost students
  softpost students STUDENT --out models/student

Next: softpost tune --model models/student …`;

/** `softpost students`: what a provider offers, and getting a student to tune on. */
export function registerStudents(program: Command, io: Io): void {
  withConnection(program.command("students"))
    .description("list a provider's students and public sets, or download a student")
    .argument("[id]", "the student to download")
    .option("--out <dir>", "new folder for it (default: its id)")
    .addHelpText("after", NOTES)
    .action((id: string | undefined, options: Options) =>
      id === undefined ? list(options, io) : get(id, options, io),
    );
}

async function list(options: Options, io: Io): Promise<void> {
  const api = new Api(await connect(options));
  const [students, publicSets] = await Promise.all([api.students(), api.publicSets()]);
  const lines = [...studentLines(students), "", ...publicLines(publicSets)];
  const first = students.find(({ retired }) => !retired);
  if (first) lines.push("", next("students", first.id, "--out", `models/${first.id}`));
  io.result({ students, publicSets }, lines.join("\n"));
}

/** Of a model whose card names no licence. */
const NOT_SAID = "not said";

function studentLines(students: readonly Student[]): string[] {
  if (students.length === 0) return ["The provider publishes no students yet."];
  const rows = students.map(({ id, kind, target, files, licence, retired }) => [
    id,
    `${kind === "open" ? "open" : "distilled"}${retired ? ", retired" : ""}`,
    target.id,
    bytes(totalBytes(files)),
    licence ?? NOT_SAID,
    target.licence ?? NOT_SAID,
  ]);
  return tableLines([["STUDENT", "kind", "for the target", "size", "licence", "the target's"], ...rows]);
}

function publicLines(publicSets: readonly PublicSet[]): string[] {
  if (publicSets.length === 0) return ["The provider publishes no public sets yet."];
  const rows = publicSets.map(({ id, examples, description }) => [id, String(examples), description]);
  return tableLines([["PUBLIC SET", "texts", "what it is"], ...rows]);
}

async function get(id: string, options: Options, io: Io): Promise<void> {
  const out = options.out ?? id;
  const api = new Api(await connect(options));
  const student = (await api.students()).find((candidate) => candidate.id === id);
  if (!student) throw new ProblemError("There is no such student", `softpost students lists them; ${id} isn't one.`);
  const total = totalBytes(student.files);
  const kept = () => "Stopped. What came is kept; the same command goes on from there.";
  await longRun(io, kept, async ({ signal, onEvent }) => {
    onEvent?.({ kind: "phase", name: "download", total, unit: "bytes" });
    let done = 0;
    const downloads = student.files.map((file) => ({ path: studentFilePath(student, file), file }));
    const onBytes = (more: number) => {
      done += more;
      onEvent?.({ kind: "progress", done });
    };
    await downloadFolder(api, downloads, out, onBytes, signal);
  });
  await keepCatalogueId(out, student);
  const records = digestRecords(io);
  for (const file of student.files) await records.keep(join(out, file.name), file);
  const told = `${out}: student ${id} of ${student.target.id}, ${bytes(total)}, digests checked`;
  const tune = next(
    "tune",
    "--model",
    out,
    "--task",
    "task.json",
    "--train",
    "private.jsonl",
    "--epsilon",
    "8",
    "--out",
    "prompt",
  );
  io.result({ id, digest: student.digest, bytes: total, out }, `${told}\n${tune}`);
}
