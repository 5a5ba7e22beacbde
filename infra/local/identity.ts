import { randomBytes, randomUUID } from "node:crypto";
import { link, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parseJson, validate } from "../../shared/protocol/json.ts";

/** What a provider says of itself; undefined for what `wrangler.toml` says. */
const settingsSchema = z.object({
  /** Millionths of the currency that a device second costs. */
  priceMicros: z.int().nonnegative().optional(),
  /** Millionths of the currency that a million prompt tokens and a million completion tokens cost. */
  promptTokenMicros: z.int().nonnegative().optional(),
  completionTokenMicros: z.int().nonnegative().optional(),
  currency: z.string().optional(),
  /** Requests a second that one tenant may send for long. */
  ratePerSecond: z.number().positive().optional(),
  /** Origins whose pages may call the API. */
  corsOrigins: z.array(z.string()).optional(),
});

export type Settings = z.output<typeof settingsSchema>;

/** What makes a provider the same one after a restart. Its file holds secrets. */
const identitySchema = z.object({
  port: z.int(),
  batchPort: z.int(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  pepper: z.string(),
  adminSecret: z.string(),
  /** The first tenant's key, once it is made. */
  key: z.string().optional(),
  settings: settingsSchema.default({}),
});

export type Identity = z.output<typeof identitySchema>;

const NAME = "provider.json";

/**
 * The folder's provider: the one that is there, or a new one.
 *
 * @param port of a new one; undefined for any free one
 * @throws ProblemError if its file is damaged
 */
export async function loadIdentity(folder: string, port: number | undefined): Promise<Identity> {
  const path = join(folder, NAME);
  const there = await readIdentity(path);
  if (there) return there;
  const secret = () => randomBytes(32).toString("base64url");
  const made: Identity = {
    port: port ?? (await freePort()),
    batchPort: await freePort(),
    accessKeyId: randomBytes(20).toString("hex"),
    secretAccessKey: secret(),
    pepper: secret(),
    adminSecret: secret(),
    settings: {},
  };
  // Of two that start in one new folder at once only one makes the provider: a link appears whole, or fails.
  const own = `${path}.${randomUUID()}`;
  await writeFile(own, encode(made), { mode: 0o600 });
  const first = await link(own, path).then(
    () => true,
    () => false,
  );
  await unlink(own);
  return first ? made : (await readIdentity(path))!;
}

export async function saveIdentity(folder: string, identity: Identity): Promise<void> {
  await writeSafely(join(folder, NAME), encode(identity));
}

/** For this user's eyes only, and whole or not at all. */
export async function writeSafely(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

async function readIdentity(path: string): Promise<Identity | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new ProblemError("The provider can't start", `${path} can't be read (${error.code}).`, { cause: error });
  });
  if (text === undefined) return undefined;
  const title = "The provider's file is damaged";
  return validate(identitySchema, parseJson(text, path, title), path, title);
}

function encode(identity: Identity): string {
  return `${JSON.stringify(identity, null, 2)}\n`;
}
