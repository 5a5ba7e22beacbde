import { join } from "node:path";
import type { Command } from "commander";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { Api, studentFilePath } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import { downloadFolder } from "../api/download.ts";
import { digestRecords } from "../inputs.ts";
import { longRun } from "../long-run.ts";
import type { Io } from "../output.ts";
import { keepCatalogueId } from "../public-names.ts";

interface Options extends ConnectionOptions {
  readonly out?: string;
}

/** `softpost students`: what a provider offers, and getting a student to tune on. */
export function registerStudents(program: Command, io: Io): void {
  withConnection(program.command("students"))
    .description("list a provider's students and public sets, or download a student")
    .argument("[id]", "the student to download")
    .option("--out <dir>", "new folder for it")
    .action((id: string | undefined, options: Options) =>
      id === undefined ? list(options, io) : get(id, options, io),
    );
}

async function list(options: Options, io: Io): Promise<void> {
  const api = new Api(await connect(options));
  const [students, publicSets] = await Promise.all([api.students(), api.publicSets()]);
  const lines = [
    ...students.map(({ id, kind, target, files, retired }) => {
      const megabytes = (files.reduce((sum, { size }) => sum + size, 0) / 1e6).toFixed(1);
      return `${id}: ${kind === "open" ? "open student" : "student"} of ${target.id}, ${megabytes} MB${retired ? " (retired)" : ""}`;
    }),
    ...publicSets.map(({ id, examples, description }) => `${id}: public set of ${examples} texts. ${description}`),
  ];
  io.result({ students, publicSets }, lines.join("\n"));
}

async function get(id: string, options: Options, io: Io): Promise<void> {
  const out = options.out ?? id;
  const api = new Api(await connect(options));
  const student = (await api.students()).find((candidate) => candidate.id === id);
  if (!student) throw new ProblemError("There is no such student", `softpost students lists them; ${id} isn't one.`);
  const total = student.files.reduce((sum, { size }) => sum + size, 0);
  await longRun(io, async ({ onEvent }) => {
    onEvent?.({ kind: "phase", name: "download", total, unit: "bytes" });
    let done = 0;
    const downloads = student.files.map((file) => ({ path: studentFilePath(student, file), file }));
    await downloadFolder(api, downloads, out, (bytes) => {
      done += bytes;
      onEvent?.({ kind: "progress", done });
    });
  });
  await keepCatalogueId(out, student);
  const records = digestRecords(io);
  for (const file of student.files) await records.keep(join(out, file.name), file);
  io.result(
    { id, digest: student.digest, bytes: total, out },
    `${out}: student ${id}, ${total} bytes, digests checked`,
  );
}
