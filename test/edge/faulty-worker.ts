/** The Worker with a bucket that fails or hangs where a request's header asks for it. */
import type { Env } from "../../edge/env.ts";
import worker from "../../edge/main.ts";

export { Tenant } from "../../edge/main.ts";

export default {
  fetch: (request, env, ctx) => worker.fetch(request, withFault(env, request.headers.get("x-test-fault")), ctx),
  scheduled: worker.scheduled,
} satisfies ExportedHandler<Env>;

/** `put NAME` fails the writing of the object that ends in NAME, `hang NAME` never answers it. */
function withFault(env: Env, header: string | null): Env {
  const [fault, name] = header?.split(" ") ?? [];
  if (fault === undefined || name === undefined) return env;
  const put = (key: string, ...rest: unknown[]) => {
    if (!key.endsWith(name)) return (env.PROMPTS.put as (...args: unknown[]) => unknown)(key, ...rest);
    if (fault === "hang") return new Promise(() => {});
    throw new Error("put: Internal error");
  };
  const prompts = new Proxy(env.PROMPTS, {
    get: (target, property) => {
      if (property === "put") return put;
      const value = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...env, PROMPTS: prompts };
}
