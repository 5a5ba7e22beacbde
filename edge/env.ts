import type { Register } from "./ledger/register.ts";
import type { Tenant } from "./ledger/tenant.ts";
import type { PromptStore } from "./storage/prompt-store.ts";

/** Bindings, variables and secrets of `wrangler.toml`. */
export interface Env {
  readonly TENANTS: DurableObjectNamespace<Tenant>;
  readonly REGISTER: DurableObjectNamespace<Register>;
  readonly PROMPTS: PromptStore;
  /** The console's files; without them there is none. */
  readonly ASSETS?: Fetcher;
  /** Counts requests without a valid key by address, for all instances of a place; without it each counts for itself. */
  readonly STRANGERS?: RateLimit;

  /** Key under which API keys are hashed and job tokens are made. */
  readonly PEPPER: string;
  readonly ADMIN_SECRET: string;
  readonly AWS_ACCESS_KEY_ID: string;
  readonly AWS_SECRET_ACCESS_KEY: string;
  /** What AWS's events about jobs carry; without one, none are taken. */
  readonly EVENTS_SECRET?: string;
  /** Shared with the serving processes; without one, no model is served. */
  readonly SERVING_SECRET?: string;

  /** With which backups of ledgers are encrypted: 32 bytes in base64; without one, none are made. */
  readonly BACKUP_KEY?: string;

  readonly AWS_REGION: string;
  readonly BATCH_QUEUE: string;
  readonly BATCH_TRANSFER_DEFINITION: string;
  readonly BATCH_PREDICT_DEFINITION: string;
  /** The bucket's address where it isn't R2's binding. */
  readonly S3_URL?: string;
  /** Only where Batch isn't AWS's own. */
  readonly BATCH_ENDPOINT?: string;
  /** Only where CloudWatch isn't AWS's own. */
  readonly METRICS_ENDPOINT?: string;
  /** Where jobs reach this Worker. */
  readonly PUBLIC_URL: string;
  readonly CURRENCY: string;
  /** What jobs are computed on, as quotes say it. */
  readonly DEVICE: string;
  /** Millionths of the currency that a device second costs. */
  readonly PRICE_MICROS: string;
  /** Millionths of the currency that a million prompt tokens and a million completion tokens of requests to models cost. */
  readonly PROMPT_TOKEN_MICROS: string;
  readonly COMPLETION_TOKEN_MICROS: string;
  /** Where the serving process of each target is: a JSON object of target ids and addresses. */
  readonly SERVING_URLS: string;
  /** Requests a second that one tenant may send for long. */
  readonly RATE_PER_SECOND: string;
  /** Header in which what stands in front of the Worker writes the client's address, whatever the client sent; empty where nothing does. */
  readonly CLIENT_ADDRESS_HEADER: string;
  /** A DNS resolver over HTTPS that answers in JSON: a webhook's name must lead to public addresses. */
  readonly WEBHOOK_RESOLVER: string;
  /** `allowed` lets webhooks lead to this machine: for tests. */
  readonly WEBHOOK_LOOPBACK?: string;
  /** Origins, separated by commas, whose pages may call the API. */
  readonly CORS_ORIGINS: string;
}
