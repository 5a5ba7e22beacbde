import type { Command } from "commander";
import type { ServedModel } from "../../shared/protocol/served-model.ts";
import { isGeneration } from "../../shared/protocol/task.ts";
import { Api } from "../api/api.ts";
import { type ConnectionOptions, connect, withConnection } from "../api/connection.ts";
import type { Io } from "../output.ts";

/** `softpost models`: what can be asked at the provider. */
export function registerModels(program: Command, io: Io): void {
  withConnection(program.command("models"))
    .description("list the models that can be asked at the provider: its targets, and your transferred prompts")
    .addHelpText(
      "after",
      "\nExample:\n  softpost models\n\nNext: softpost complete TEXT --model NAME, softpost classify TEXT --model NAME",
    )
    .action((options: ConnectionOptions) => run(options, io));
}

async function run(options: ConnectionOptions, io: Io): Promise<void> {
  const models = await new Api(await connect(options)).models();
  io.result({ models }, models.map(describe).join("\n") || "There are no models that can be asked.");
}

function describe({ id, parent, root, task, privacy }: ServedModel): string {
  if (parent === null) return `${id}: the provider's model, without a prompt`;
  const alias = id === root ? "" : ` (${root})`;
  const kind = task && (isGeneration(task) ? "text" : `labels ${task.labels.map(({ name }) => name).join(", ")}`);
  const what = task ? `${task.name}, answers ${kind}` : "its manifest can't be read at the provider";
  const guarantee = privacy ? `epsilon ${privacy.epsilon} at delta ${privacy.delta}` : "not private";
  return `${id}${alias}: ${what}; ${guarantee}`;
}
