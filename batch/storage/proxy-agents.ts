import http from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import { Agent, type AgentConnectOpts } from "agent-base";
import { HttpProxyAgent } from "http-proxy-agent";
import { HttpsProxyAgent } from "https-proxy-agent";
import { namesProxy, proxyOf } from "../../shared/data/proxy.ts";

/** Reaches every host by the proxy that the environment names for it. */
class ProxyByHost extends Agent {
  connect(_: http.ClientRequest, { host, port, secureEndpoint }: AgentConnectOpts): http.Agent {
    const name = isIP(host ?? "") === 6 ? `[${host}]` : host;
    const proxy = proxyOf(`${secureEndpoint ? "https" : "http"}://${name}:${port}`, process.env);
    if (!proxy) return secureEndpoint ? https.globalAgent : http.globalAgent;
    return secureEndpoint ? new HttpsProxyAgent(proxy.url) : new HttpProxyAgent(proxy.url);
  }
}

/** Agents for the AWS SDK, which doesn't read `HTTPS_PROXY`; undefined where the environment names no proxy. */
export function proxyAgents(): { readonly httpAgent: http.Agent; readonly httpsAgent: https.Agent } | undefined {
  if (!namesProxy(process.env)) return undefined;
  const agent = new ProxyByHost({ keepAlive: true });
  // What an https.Agent has beside an http.Agent's methods only concerns its own sockets.
  return { httpAgent: agent, httpsAgent: agent as unknown as https.Agent };
}
