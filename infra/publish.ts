/**
 * Publishes into a deployed provider's bucket what `softpost serve` publishes into its own: `node infra/publish.ts --target DIR --student DIR
 * --public FILE…` (`--unknown-origin` for a student without a record of what it was distilled from), and takes a student out of service: `--retire NAME`. It reaches the bucket as a job does (batch/environment.ts). A public set keeps its file's name.
 */
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readEnvironment } from "../batch/environment.ts";
import { Bucket } from "../batch/storage/bucket.ts";
import { publishPublicSet, publishStudent, retireStudent } from "../batch/storage/publish.ts";
import { ProblemError } from "../shared/protocol/errors.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    target: text,
    student: text,
    "unknown-origin": { type: "boolean" },
    public: { ...text, multiple: true },
    description: text,
    retire: text,
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const named = (folder: string) => ({ folder, name: basename(resolve(folder)) });

try {
  const { target, student, public: files = [], description = "" } = values;
  if ((target === undefined) !== (student === undefined)) {
    throw new ProblemError("There is nothing to publish", "--target and --student are given together or not at all.");
  }
  const store = new Bucket(readEnvironment(process.env).bucket);
  if (target !== undefined && student !== undefined) {
    const { "unknown-origin": unknownOrigin = false } = values;
    const { id, digest } = await publishStudent(store, {
      student: named(student),
      target: named(target),
      unknownOrigin,
    });
    say(`student ${id} ${digest}`);
  }
  if (values.retire !== undefined) {
    await retireStudent(store, values.retire);
    say(`student ${values.retire} is retired`);
  }
  for (const file of files) {
    const { id, examples } = await publishPublicSet(store, { file, description });
    say(`public set ${id} with ${examples} texts`);
  }
} catch (error) {
  if (!(error instanceof ProblemError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
