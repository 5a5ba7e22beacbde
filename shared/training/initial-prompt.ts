import type { Engine, Value } from "../graph/engine.ts";
import { input } from "../graph/tensor.ts";
import type { Model } from "../models/model.ts";

/** A prompt `[P, D]` whose rows are the embeddings of P tokens. */
export async function initialPrompt(engine: Engine, model: Model, ids: Int32Array): Promise<Value> {
  const session = await engine.load({ outputs: { rows: model.tokens(input("ids", "int32", ["P"])) } });
  const { rows } = await session.run({ ids: { shape: [ids.length], data: ids } });
  return rows!;
}
