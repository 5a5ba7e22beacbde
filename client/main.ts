#!/usr/bin/env node
import { useHugePages } from "./huge-pages.ts";
import { tooOld } from "./node-version.ts";

// Everything else is loaded after this: an older Node would stop at its syntax, with a stack for a message.
const reason = tooOld(process.versions.node);
if (reason === undefined) {
  useHugePages();
  import("./run.ts");
} else {
  process.stderr.write(`${reason}\n`);
  process.exitCode = 1;
}
