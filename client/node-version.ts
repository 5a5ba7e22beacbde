import manifest from "../package.json" with { type: "json" };

/** What to tell somebody whose Node is older than package.json asks for; undefined for nobody else. */
export function tooOld(version: string): string | undefined {
  const needed = manifest.engines.node.replace(">=", "");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0] = needed.split(".").map(Number);
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return undefined;
  return (
    `softpost needs Node ${needed} or newer; this is Node ${version}. Get a newer one from https://nodejs.org, or have npx fetch ` +
    "one: npx --package node@24 --package softpost softpost"
  );
}
