import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { readText } from "../../shared/data/files.ts";
import { byWayOf } from "../../shared/data/proxy.ts";
import { ProblemError } from "../../shared/protocol/errors.ts";
import { parseJson, validate } from "../../shared/protocol/json.ts";
import type { Connection } from "./transport.ts";

const TITLE = "The provider's address is not known";

/** `{"profiles": {"default": {"url", "key"}}}` */
const configSchema = z.strictObject({
  profiles: z.record(z.string(), z.strictObject({ url: z.string(), key: z.string() })),
});

export interface ConnectionOptions {
  readonly url?: string;
  readonly key?: string;
  readonly config?: string;
  readonly profile: string;
}

/** Adds the options of every command that talks to a provider. */
export function withConnection(command: Command): Command {
  return command
    .option("--url <url>", "address of the provider (or SOFTPOST_URL)")
    .option("--key <key>", "API key (better in SOFTPOST_KEY or the config file: other users see arguments)")
    .option("--config <file>", "config file (or SOFTPOST_CONFIG; default ~/.config/softpost/config.json)")
    .option("--profile <name>", "profile of the config file", "default");
}

/**
 * Address and key from the options, else the environment, else the config file.
 *
 * @throws ProblemError if one is nowhere, the address isn't https (or loopback), or others may read the config file
 */
export async function connect(options: ConnectionOptions, env: NodeJS.ProcessEnv = process.env): Promise<Connection> {
  const given = options.url ?? env.SOFTPOST_URL;
  const key = options.key ?? env.SOFTPOST_KEY;
  const profile = given === undefined || key === undefined ? await profileOf(options, env) : { url: given, key };
  return { ...reachable(given ?? profile.url), key: key ?? profile.key };
}

/** Address of a provider as {@link connect} finds it, where no key is needed. @throws ProblemError as it does */
export async function findProvider(options: ConnectionOptions, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  return checkUrl(options.url ?? env.SOFTPOST_URL ?? (await profileOf(options, env)).url);
}

/** A provider's address, checked, and by which proxy it is reached. @throws ProblemError */
export function reachable(text: string): Omit<Connection, "key"> {
  const url = checkUrl(text);
  const via = byWayOf(url);
  return via === "" ? { url } : { url, via };
}

function profileOf({ config, profile }: ConnectionOptions, env: NodeJS.ProcessEnv) {
  return readProfile(config ?? env.SOFTPOST_CONFIG ?? join(homedir(), ".config", "softpost", "config.json"), profile);
}

async function readProfile(path: string, name: string): Promise<{ url: string; key: string }> {
  const found = await stat(path).catch(() => undefined);
  if (!found) {
    throw new ProblemError(TITLE, `Set SOFTPOST_URL and SOFTPOST_KEY, or write them to ${path} (--config).`);
  }
  refuseShared(path, found.mode, "The config file is not safe", "an API key");
  const title = "The config file is not valid";
  const { profiles } = validate(configSchema, parseJson(await readText(path), path, title), path, title);
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (!profile) throw new ProblemError(TITLE, `${path} has no profile ${JSON.stringify(name)}.`);
  return profile;
}

/** @throws ProblemError if others may read a file with a secret, by its mode */
export function refuseShared(path: string, mode: number, title: string, what: string): void {
  // Windows has no such permission bits.
  if (process.platform === "win32" || (mode & 0o077) === 0) return;
  throw new ProblemError(title, `Others may read ${path}, which holds ${what}. Run: chmod 600 ${path}`);
}

/** The key must not cross a network in the clear. @throws ProblemError */
function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const loopback = url && ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  if (!url || !(url.protocol === "https:" || (url.protocol === "http:" && loopback))) {
    throw new ProblemError(TITLE, `${JSON.stringify(text)} must be an https address, or http on this machine.`);
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}
