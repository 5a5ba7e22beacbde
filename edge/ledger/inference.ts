import { DurableObject } from "cloudflare:workers";
import type { TokenPrices, Tokens, UsageRow } from "../../shared/protocol/metering.ts";
import type { Alias } from "../../shared/protocol/served-model.ts";
import type { Usage } from "./decide.ts";
import { type TokenRefusal, tokenRefusals } from "./metering.ts";
import { PromptList, type TransferredPrompt } from "./prompts.ts";
import { Store } from "./store.ts";
import { type TokenRequest, TokenStore } from "./tokens.ts";

/** What requests to models need of the Worker's environment. */
export interface InferenceEnv {
  readonly PROMPT_TOKEN_MICROS: string;
  readonly COMPLETION_TOKEN_MICROS: string;
}

/** What of a tenant's ledger is about requests to models. As in all of it, no method awaits between reading and writing. */
export class InferenceLedger<E extends InferenceEnv = InferenceEnv> extends DurableObject<E> {
  protected readonly store: Store;
  protected readonly tokens: TokenStore;
  protected readonly prices: TokenPrices;
  private readonly prompts: PromptList;

  constructor(ctx: DurableObjectState, env: E) {
    super(ctx, env);
    this.store = new Store(ctx.storage.sql);
    this.tokens = new TokenStore(ctx.storage.sql);
    this.prompts = new PromptList(ctx.storage.sql);
    this.prices = {
      promptMicros: Number(env.PROMPT_TOKEN_MICROS),
      completionMicros: Number(env.COMPLETION_TOKEN_MICROS),
    };
  }

  /** Sets aside what a request to a model may use. @returns the budgets that it would pass, in which case nothing is set aside */
  reserveTokens(request: TokenRequest): TokenRefusal[] {
    return this.ctx.storage.transactionSync(() => {
      const now = Date.now();
      const tokens = this.tokenSums(now);
      const { reserved, used } = tokens;
      const usage = {
        micros: this.spending(now, tokens).micros,
        tokens: used.tokens + reserved.tokens,
        dailyTokens: used.dailyTokens + reserved.dailyTokens,
      };
      const found = tokenRefusals(this.store.account().limits, usage, request.most, this.prices);
      if (found.length === 0) this.tokens.reserve(request, this.prices, now);
      return found;
    });
  }

  /** Settles requests to models by what they used; those that are not under way stay as they ended. */
  settleTokens(records: readonly { readonly request: string; readonly used: Tokens }[]): void {
    if (!this.store.exists()) return;
    this.ctx.storage.transactionSync(() => {
      for (const { request, used } of records) this.tokens.settle(request, used, Date.now());
    });
  }

  releaseTokens(request: string): void {
    this.tokens.release(request);
  }

  /** Lets the reservation of a request that broke off expire earlier than it would. */
  hastenTokens(request: string, expires: number): void {
    this.tokens.hasten(request, expires);
  }

  tokenUsage(first: number, last: number): UsageRow[] {
    return this.tokens.rows(first, last);
  }

  /** The newest transferred prompts, and the tenant's names for them. */
  transferredPrompts(limit: number): { prompts: TransferredPrompt[]; aliases: Alias[] } {
    return { prompts: this.prompts.list(limit), aliases: this.prompts.aliases() };
  }

  /** A transferred prompt by its transfer's id, or by an alias. */
  transferredPrompt(name: { readonly transfer: string } | { readonly alias: string }): TransferredPrompt | null {
    return ("alias" in name ? this.prompts.findByAlias(name.alias) : this.prompts.find(name.transfer)) ?? null;
  }

  setAlias(alias: Alias): "set" | "unknown" | "full" {
    if (!this.prompts.find(alias.transfer)) return "unknown";
    return this.prompts.setAlias(alias, Date.now()) ? "set" : "full";
  }

  removeAlias(alias: string): boolean {
    return this.prompts.removeAlias(alias);
  }

  /** What requests to models have used and set aside. */
  protected tokenSums(now: number) {
    return { reserved: this.tokens.reserved(now), used: this.tokens.used(now) };
  }

  /** Requests to models cost money too. */
  protected spending(now: number, { used, reserved } = this.tokenSums(now)): Usage {
    const usage = this.store.usage(now);
    const micros = usage.micros + used.micros + reserved.micros;
    return { ...usage, micros };
  }
}
