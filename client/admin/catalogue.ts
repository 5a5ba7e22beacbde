import { basename, resolve } from "node:path";
import { type Command, Option } from "commander";
import {
  catalogueSchema,
  type PublicSet,
  publicSetSchema,
  type Student,
  studentSchema,
} from "../../shared/protocol/catalogue.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { sending } from "../api/transport.ts";
import { FILE_FORMATS } from "../data-file.ts";
import type { Io } from "../output.ts";
import { type AdminOptions, adminApi, readProvider, withAdmin } from "./connection.ts";

const PATH = "/v1/admin/catalogue";
/** What `softpost serve` calls its bucket (wrangler.toml). */
const LOCAL_BUCKET = "softpost";

interface PublishOptions extends AdminOptions {
  readonly target?: string;
  readonly student?: string;
  readonly openStudent?: string;
  readonly unknownOrigin?: boolean;
  readonly modelPrecision?: "fp32" | "fp16";
  readonly public: readonly string[];
  readonly description: string;
}

const BUCKET = `
Without --dir the bucket is the environment's: SOFTPOST_BUCKET, SOFTPOST_S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.`;

/** `softpost admin catalogue`. */
export function registerCatalogue(admin: Command, io: Io): void {
  const catalogue = admin.command("catalogue").description("publish and retire students and public sets");
  withAdmin(catalogue.command("list", { isDefault: true }))
    .description("what is on offer, and what is retired")
    .action(async (options: AdminOptions) => {
      const found = await (await adminApi(options, io)).json(PATH, catalogueSchema);
      const retired = (is: boolean) => (is ? " (retired)" : "");
      const lines = [
        ...found.students.map((each) => `student ${each.id} of ${each.target.id}${retired(each.retired)}`),
        ...found.publicSets.map((each) => `public set ${each.id}, ${each.examples} texts${retired(each.retired)}`),
      ];
      io.result(found, lines.join("\n") || "Nothing is published yet.");
    });
  withAdmin(catalogue.command("publish"))
    .description("upload a student with its target, or public sets, and put them into the catalogue")
    .option("--target <dir>", "model to transfer prompts to")
    .option("--student <dir>", "the student that was distilled from it")
    .option("--open-student <dir>", "a model of its own from which prompts are taken for the target")
    .option("--unknown-origin", "a student without a record that it was distilled from the target")
    .addOption(
      new Option("--model-precision <name>", "what transfers to the target are computed in").choices(["fp32", "fp16"]),
    )
    .option("--public <file...>", `files of public texts (${FILE_FORMATS}); a set has its file's name`, [])
    .option("--description <text>", "what the public sets are", "")
    .addHelpText("after", BUCKET)
    .action((options: PublishOptions) => publish(options, io));
  withAdmin(catalogue.command("retire"))
    .description("take no new prompts of a student, or on a public set; old prompts keep working")
    .argument("<kind>", "student or public-set")
    .argument("<name>", "its name")
    .option("--undo", "take it back into service")
    .action((kind: string, name: string, options: AdminOptions & { undo?: boolean }) =>
      retire(kind, name, options, io),
    );
}

async function publish(options: PublishOptions, io: Io): Promise<void> {
  const { target, student: distilled, openStudent, public: files, description } = options;
  const folder = distilled ?? openStudent;
  if ((target === undefined) !== (folder === undefined) || (distilled !== undefined && openStudent !== undefined)) {
    const detail = "--target is given with one of --student and --open-student, or none of them is.";
    throw new ProblemError("There is nothing to publish", detail);
  }
  if (target === undefined && files.length === 0) {
    throw new ProblemError("There is nothing to publish", "Give --target and --student, or --public.");
  }
  const api = await adminApi(options, io);
  const store = await openBucket(options.dir);
  const { uploadStudent } = await import("../../batch/storage/publish.ts");
  const { uploadPublicSet } = await import("../../batch/storage/public-set.ts");
  const named = (path: string) => ({ folder: path, name: basename(resolve(path)) });
  const published: { students: Student[]; publicSets: PublicSet[] } = { students: [], publicSets: [] };
  if (target !== undefined && folder !== undefined) {
    const record = await uploadStudent(store, {
      student: named(folder),
      target: named(target),
      kind: openStudent === undefined ? "distilled" : "open",
      unknownOrigin: options.unknownOrigin ?? false,
      precision: options.modelPrecision,
      weights: io.weights,
      // On one machine jobs share its memory.
      capacity: options.dir === undefined ? (await import("../../infra/definitions.ts")).TRANSFER_CAPACITY : undefined,
    });
    published.students.push(await api.json(`${PATH}/students`, studentSchema, sending("POST", record)));
  }
  for (const file of files) {
    const record = await uploadPublicSet(store, { file, description });
    published.publicSets.push(await api.json(`${PATH}/public-sets`, publicSetSchema, sending("POST", record)));
  }
  const lines = [
    ...published.students.map(({ id, digest }) => `student ${id} ${digest}`),
    ...published.publicSets.map(({ id, examples }) => `public set ${id} with ${examples} texts`),
  ];
  io.result(published, lines.join("\n"));
}

/** @param folder of a provider on this machine */
async function openBucket(folder: string | undefined) {
  const { Bucket } = await import("../../batch/storage/bucket.ts");
  if (folder !== undefined) {
    const { port, accessKeyId, secretAccessKey } = await readProvider(folder);
    const endpoint = `http://127.0.0.1:${port}/cdn-cgi/local/r2/s3`;
    return new Bucket({ name: LOCAL_BUCKET, endpoint, credentials: { accessKeyId, secretAccessKey } });
  }
  const { readEnvironment } = await import("../../batch/environment.ts");
  return new Bucket(readEnvironment(process.env).bucket);
}

async function retire(kind: string, name: string, options: AdminOptions & { undo?: boolean }, io: Io): Promise<void> {
  const path = { student: "students", "public-set": "public-sets" }[kind];
  if (path === undefined) {
    throw new ProblemError(
      "There is nothing to retire",
      `It is a student or a public-set, not ${JSON.stringify(kind)}.`,
    );
  }
  const api = await adminApi(options, io);
  const retired = !options.undo;
  const request = sending("PATCH", { retired });
  await (await api.request(`${PATH}/${path}/${encodeURIComponent(name)}`, request)).body?.cancel();
  io.result({ kind, name, retired }, `The ${kind} ${name} is ${retired ? "retired" : "in service again"}.`);
}
