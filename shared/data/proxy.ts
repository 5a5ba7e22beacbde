import { BlockList, isIP } from "node:net";
import { ProblemError } from "../protocol/errors.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A proxy, and the environment's variable that names it. */
export interface Proxy {
  readonly url: URL;
  readonly variable: string;
}

/**
 * The proxy by which an address is reached, as curl, npm and Hugging Face's tools read `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
 * `NO_PROXY`, in small letters or capitals: the variable of the address's scheme, unless `NO_PROXY` names the host, a domain above
 * it, a network that it is in (`10.0.0.0/8`) or `*`, each perhaps with a port. This machine is never reached by a proxy.
 *
 * @throws ProblemError if the variable is no address of an http or https proxy
 */
export function proxyOf(address: string | URL, env: Environment): Proxy | undefined {
  const { protocol, hostname, port } = new URL(address);
  const scheme = protocol.slice(0, -1);
  const names = [`${scheme}_proxy`, `${scheme}_proxy`.toUpperCase(), "all_proxy", "ALL_PROXY"];
  const variable = names.find((name) => env[name] !== undefined);
  const value = variable && env[variable]!.trim();
  if (!variable || !value) return undefined;
  const host = hostname.replace(/^\[|\]$/g, "");
  const exceptions = (env.no_proxy ?? env.NO_PROXY ?? "").split(/[\s,]+/);
  const at = port || (scheme === "https" ? "443" : "80");
  if (isThisMachine(host) || exceptions.some((exception) => isExcepted(host, at, exception))) return undefined;
  return { url: parseProxy(value, variable), variable };
}

function parseProxy(value: string, variable: string): URL {
  const text = /^\w[\w+.-]*:\/\//.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && ["http:", "https:"].includes(url.protocol)) return url;
  // The value may hold a password.
  const scheme = url ? `It names one of the kind ${url.protocol.slice(0, -1)}` : "It is no address";
  const detail = `${scheme}; an http or https proxy is needed, such as http://proxy.example:3128.`;
  throw new ProblemError(`The proxy of ${variable} can't be used`, detail);
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("0.0.0.0", "ipv4");
LOOPBACK.addAddress("::1", "ipv6");
LOOPBACK.addAddress("::", "ipv6");

function isThisMachine(host: string): boolean {
  return /^(.*\.)?localhost\.?$/.test(host) || isIn(LOOPBACK, host);
}

function isIn(list: BlockList, host: string): boolean {
  const version = isIP(host);
  return version !== 0 && list.check(host, version === 6 ? "ipv6" : "ipv4");
}

/** @param exception one entry of NO_PROXY */
function isExcepted(host: string, port: string, exception: string): boolean {
  if (exception === "*") return true;
  const network = /^\[?([\da-f:.]+)\]?\/(\d{1,3})$/i.exec(exception);
  if (network) return isInNetwork(host, network[1]!, Number(network[2]));
  // An IPv6 address has colons of its own.
  const [, bracketed, named, wanted] = /^(?:\[([\da-f:.]+)\]|([^:]*))(?::(\d+))?$/i.exec(exception) ?? [];
  const name = (bracketed ?? named ?? exception)
    .replace(/^\*?\./, "")
    .replace(/\.$/, "")
    .toLowerCase();
  if (name === "" || (wanted !== undefined && wanted !== port)) return false;
  const plain = host.replace(/\.$/, "");
  return plain === name || (isIP(plain) === 0 ? plain.endsWith(`.${name}`) : isInNetwork(plain, name, 128));
}

function isInNetwork(host: string, address: string, prefix: number): boolean {
  const version = isIP(address);
  const bits = Math.min(prefix, version === 6 ? 128 : 32);
  if (version === 0) return false;
  const list = new BlockList();
  list.addSubnet(address, bits, version === 6 ? "ipv6" : "ipv4");
  return isIn(list, host);
}

/** Whether the environment names a proxy at all. */
export function namesProxy(env: Environment): boolean {
  return ["http_proxy", "https_proxy", "all_proxy"].some((name) => env[name] || env[name.toUpperCase()]);
}

/**
 * Has `fetch` reach every address by the proxy that the environment names for it. To be called once, before the first request.
 *
 * @throws ProblemError if a variable is no address of a proxy
 */
export async function useProxies(env: Environment = process.env): Promise<void> {
  for (const scheme of ["http", "https"]) proxyOf(`${scheme}://example.com`, { ...env, no_proxy: "" });
  if (!namesProxy(env)) return;
  // Only here: most have no proxy, and the library would slow the start down.
  const { Agent, Pool, ProxyAgent, setGlobalDispatcher } = await import("undici");
  const factory = (origin: string | URL, options: object) => {
    const proxy = proxyOf(origin, env);
    // As curl: a tunnel for https, the request itself for http, for which many proxies open no tunnel.
    const proxyTunnel = new URL(origin).protocol === "https:";
    return proxy ? new ProxyAgent({ uri: proxy.url.href, proxyTunnel }) : new Pool(origin, options);
  };
  setGlobalDispatcher(new Agent({ factory }));
}

/** For the message of a connection that failed: by which proxy it went, without the password. */
export function byWayOf(address: string, env: Environment = process.env): string {
  const proxy = proxyOf(address, env);
  return proxy ? `, by way of the proxy ${proxy.url.host} of ${proxy.variable}` : "";
}
