/** What the command and everything that computes needs. npm installs the package for older ones too: the API's client and the accountants run there. */
export const NODE_NEEDED = "22.18";

/** What to tell somebody whose Node is older; undefined for nobody else. */
export function tooOld(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [leastMajor = 0, leastMinor = 0] = NODE_NEEDED.split(".").map(Number);
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return undefined;
  return (
    `softpost needs Node ${NODE_NEEDED} or newer; this is Node ${version}. Get a newer one from https://nodejs.org, or have npx fetch ` +
    "one: npx --package node@24 --package softpost softpost"
  );
}
