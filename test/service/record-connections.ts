/** Loaded before a client (`--import`): writes every address that the process connects to or looks up into a file. */

import dns from "node:dns";
import { appendFileSync } from "node:fs";
import net from "node:net";

const file = process.env.SOFTPOST_TEST_CONNECTIONS!;
const note = (what: string) => appendFileSync(file, `${what}\n`);

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
  // Called by net.connect with its normalised arguments as one array.
  const [options] = (Array.isArray(args[0]) ? args[0] : args) as [{ host?: string; port?: number; path?: string }];
  note(options.path ?? `${options.host}:${options.port}`);
  return (connect as (...args: unknown[]) => net.Socket).apply(this, args);
} as typeof connect;

const { lookup } = dns;
dns.lookup = ((name: string, ...rest: unknown[]) => {
  if (net.isIP(name) === 0) note(`lookup ${name}`);
  return (lookup as (...args: unknown[]) => void)(name, ...rest);
}) as typeof lookup;
