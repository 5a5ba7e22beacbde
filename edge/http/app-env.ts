import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Env } from "../env.ts";

/** What a request's handlers find in their context. */
export interface AppEnv {
  Bindings: Env;
  Variables: {
    requestId: string;
    /** The authenticated tenant. */
    tenant: string;
    /** Id of the key with which it is; none for the provider. */
    key: string;
    /** What the log says about a failure of ours. */
    error: string;
  };
}

/** What routes are added to. */
export type App = OpenAPIHono<AppEnv>;
