import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parseJson, validate } from "../../shared/protocol/json.ts";
import { Api } from "../api/api.ts";
import { checkUrl, reached, refuseShared } from "../api/connection.ts";
import type { Io } from "../output.ts";
import { askSecret } from "./prompt.ts";

const TITLE = "The provider can't be administered";
const FILE_TITLE = "The secret's file is not safe";

export interface AdminOptions {
  readonly url?: string;
  readonly secretFile?: string;
  readonly dir?: string;
}

/** What of a folder of `softpost serve` an administrator needs. */
const identitySchema = z.object({
  port: z.int(),
  adminSecret: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
});

/** Adds the options of every command that administers a provider. */
export function withAdmin(command: Command): Command {
  return command
    .option("--url <url>", "address of the provider (or SOFTPOST_URL)")
    .option(
      "--secret-file <file>",
      "file with the admin secret, or a tenant's own admin key (default: it is asked for)",
    )
    .option("--dir <dir>", "the folder of a provider that softpost serve runs on this machine, in place of both");
}

/**
 * The provider's API, with the secret of a file, of a provider's folder, or as it is typed; it is never an argument, which other users see.
 *
 * @throws ProblemError if the address is nowhere, or others may read the secret's file
 */
export async function adminApi(options: AdminOptions, io: Io): Promise<Api> {
  if (options.dir !== undefined) {
    const { port, adminSecret } = await readProvider(options.dir);
    return new Api(reached(`http://127.0.0.1:${port}`, adminSecret));
  }
  const url = options.url ?? process.env.SOFTPOST_URL;
  if (url === undefined)
    throw new ProblemError(TITLE, "Give --url (or SOFTPOST_URL), or --dir for one on this machine.");
  return new Api(reached(checkUrl(url), await readSecret(options.secretFile, io)));
}

/** @throws ProblemError if there is no provider in the folder */
export async function readProvider(folder: string): Promise<z.output<typeof identitySchema>> {
  const path = join(folder, "provider.json");
  const text = await readFile(path, "utf8").catch((cause) => {
    throw new ProblemError(TITLE, `${path} can't be read: is ${folder} the --dir of softpost serve?`, { cause });
  });
  return validate(identitySchema, parseJson(text, path, TITLE), path, TITLE);
}

async function readSecret(file: string | undefined, io: Io): Promise<string> {
  if (file === undefined) return askSecret(io, "Admin secret: ");
  const found = await stat(file).catch((cause) => {
    throw new ProblemError(TITLE, `The file ${file} can't be read.`, { cause });
  });
  refuseShared(file, found.mode, FILE_TITLE, "a secret");
  const secret = (await readFile(file, "utf8")).trim();
  if (/^[\x21-\x7e]+$/.test(secret)) return secret;
  throw new ProblemError(TITLE, `The file ${file} must hold the secret alone, on one line.`);
}
