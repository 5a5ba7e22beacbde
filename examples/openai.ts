/** OpenAI's client asks a model with a transferred prompt. */
import OpenAI from "openai";
import { readTunedPrompt } from "softpost";
import { Client } from "softpost/client";
import { prepare } from "./provider.ts";

const { url, key, prompt, close } = await prepare("openai-output");
try {
  const client = new Client({ url, key });
  const [publicSet] = await client.publicSets();
  const options = { dataset: "mails", publicSet: publicSet!.id, steps: 5 };
  const { id } = await client.submit(await client.submission(await readTunedPrompt(prompt), options));
  for await (const { state } of client.wait(id)) if (state === "succeeded") console.log(`${id} has ${state}`);

  // From here on nothing is softpost's own: the address and the key are all that OpenAI's client needs.
  const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
  const models = (await openai.models.list()).data.map((model) => model.id);
  console.log(`Models: ${models.join(", ")}`);
  // The target's name and the transfer's id: the target with this prompt before every text.
  const model = models.find((name) => name.endsWith(id))!;
  const stream = await openai.completions.create({
    model,
    prompt: "You have won a prize! This goes into the",
    max_tokens: 8,
    stream: true,
  });
  for await (const { choices } of stream) process.stdout.write(choices[0]?.text ?? "");
  console.log();
} finally {
  await close();
}
