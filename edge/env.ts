import type { Tenant } from "./ledger/tenant.ts";
import type { PromptStore } from "./storage/prompt-store.ts";

/** Bindings, variables and secrets of `wrangler.toml`. */
export interface Env {
  readonly TENANTS: DurableObjectNamespace<Tenant>;
  readonly PROMPTS: PromptStore;

  /** Key under which API keys are hashed and job tokens are made. */
  readonly PEPPER: string;
  readonly ADMIN_SECRET: string;
  readonly AWS_ACCESS_KEY_ID: string;
  readonly AWS_SECRET_ACCESS_KEY: string;
  /** What AWS's events about jobs carry; without one, none are taken. */
  readonly EVENTS_SECRET?: string;

  readonly AWS_REGION: string;
  readonly BATCH_QUEUE: string;
  readonly BATCH_TRANSFER_DEFINITION: string;
  /** The bucket's address where it isn't R2's binding. */
  readonly S3_URL?: string;
  /** Only where Batch isn't AWS's own. */
  readonly BATCH_ENDPOINT?: string;
  /** Where jobs reach this Worker. */
  readonly PUBLIC_URL: string;
  readonly CURRENCY: string;
  /** What jobs are computed on, as quotes say it. */
  readonly DEVICE: string;
  /** Millionths of the currency that a device second costs. */
  readonly PRICE_MICROS: string;
  /** Requests a second that one tenant may send for long. */
  readonly RATE_PER_SECOND: string;
  /** Header in which what stands in front of the Worker writes the client's address, whatever the client sent; empty where nothing does. */
  readonly CLIENT_ADDRESS_HEADER: string;
  /** Origins, separated by commas, whose pages may call the API. */
  readonly CORS_ORIGINS: string;
}
