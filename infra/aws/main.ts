/** Writes the templates of all stages to `cdk.out`, without an account and without a connection: `npm run infra:synth`. */
import { App } from "aws-cdk-lib";
import { ServingStack } from "./serving/stack.ts";
import { readSettings, stages } from "./settings.ts";
import { SoftpostStack } from "./stack.ts";

const app = new App({ outdir: "cdk.out", analyticsReporting: false });
for (const stage of stages) {
  new SoftpostStack(app, readSettings(stage));
  new ServingStack(app, readSettings(stage));
}
for (const { templateFullPath } of app.synth().stacks) process.stdout.write(`${templateFullPath}\n`);
