import { ProblemError } from "../../shared/protocol/errors.ts";
import { quote } from "../../shared/protocol/json.ts";
import { parsePromptModel, promptModel, type ServedModel } from "../../shared/protocol/served-model.ts";
import type { Env } from "../env.ts";
import { ledgerOf } from "../http/auth.ts";
import { logEvent } from "../http/log.ts";
import type { TransferredPrompt } from "../ledger/prompts.ts";
import { readManifest } from "./manifests.ts";
import { type ServedTarget, servedTargets } from "./targets.ts";

/** Prompts that a list has, the newest. */
const MAX_LISTED = 1000;
/** Manifests that are read at once. */
const AT_ONCE = 8;

/** What a model's name stands for. */
export interface ResolvedModel {
  /** Its own name, not an alias. */
  readonly name: string;
  readonly target: ServedTarget;
  /** Null: the target as it is. */
  readonly prompt: TransferredPrompt | null;
}

/**
 * What a tenant calls by a name: one of its prompts, by an alias or as TARGET:TRANSFER_ID, or a target. Another tenant's prompt isn't there.
 *
 * @throws ProblemError (404)
 */
export async function resolveModel(env: Env, tenant: string, name: string): Promise<ResolvedModel> {
  const targets = await servedTargets(env);
  const parts = parsePromptModel(name);
  const prompt = await ledgerOf(env, tenant).transferredPrompt(parts ?? { alias: name });
  const target = prompt
    ? targets.find(({ digest }) => digest === prompt.targetDigest)
    : targets.find(({ id }) => id === name);
  if (!target || (parts && (!prompt || parts.target !== target.id))) {
    const detail = `There is no model ${quote(name)}; GET /v1/models lists yours.`;
    throw new ProblemError("Not found", detail, { status: 404 });
  }
  return { name: prompt ? promptModel(target.id, prompt.transfer) : target.id, target, prompt };
}

/** What the API shows of a model that a tenant calls by a name. @throws ProblemError (404) */
export async function describeModel(env: Env, tenant: string, name: string): Promise<ServedModel> {
  const { target, prompt } = await resolveModel(env, tenant, name);
  return prompt ? describePrompt(env, tenant, name, target, prompt) : describeTarget(target);
}

/** All models of a tenant: targets, prompts and its own names for these. */
export async function listModels(env: Env, tenant: string): Promise<ServedModel[]> {
  const targets = await servedTargets(env);
  if (targets.length === 0) return [];
  const { prompts, aliases } = await ledgerOf(env, tenant).transferredPrompts(MAX_LISTED);
  const described: ServedModel[] = [];
  for (let i = 0; i < prompts.length; i += AT_ONCE) {
    const some = prompts.slice(i, i + AT_ONCE).flatMap((prompt) => {
      const target = targets.find(({ digest }) => digest === prompt.targetDigest);
      return target ? [describePrompt(env, tenant, promptModel(target.id, prompt.transfer), target, prompt)] : [];
    });
    described.push(...(await Promise.all(some)));
  }
  const named = aliases.flatMap(({ alias, transfer }) => {
    const model = described.find(({ parent, root }) => parent !== null && root === promptModel(parent, transfer));
    return model ? [{ ...model, id: alias }] : [];
  });
  const hidden = new Set(named.map(({ id }) => id));
  return [...targets.filter(({ id }) => !hidden.has(id)).map(describeTarget), ...described, ...named];
}

function describeTarget({ id }: ServedTarget): ServedModel {
  return { id, object: "model", created: 0, owned_by: "provider", root: id, parent: null, task: null, privacy: null };
}

async function describePrompt(
  env: Env,
  tenant: string,
  id: string,
  target: ServedTarget,
  prompt: TransferredPrompt,
): Promise<ServedModel> {
  const manifest = await readManifest(env, tenant, prompt).catch((error: Error) => {
    // One that is damaged doesn't hide the others.
    logEvent("manifest not read", { tenant, transfer: prompt.transfer, error: String(error.cause ?? error) });
    return undefined;
  });
  return {
    id,
    object: "model",
    created: Math.floor(prompt.created / 1000),
    owned_by: "tenant",
    root: promptModel(target.id, prompt.transfer),
    parent: target.id,
    task: manifest?.task ?? null,
    privacy: manifest?.privacy ?? null,
  };
}
