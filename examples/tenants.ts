/** A provider with two tenants: each has its own budgets, and can't see what the other does. */
import { readTunedPrompt } from "softpost";
import { Client, ProblemError } from "softpost/client";
import { prepare } from "./provider.ts";

const { command, url, prompt, close } = await prepare("tenants-output");

/** Opens an account with limits and a key of its own. */
async function tenant(name: string, ...limits: readonly string[]): Promise<Client> {
  await command("admin", "tenants", "create", name, ...limits, "--dir", "service");
  const create = ["admin", "keys", "create", name, "--name", "first", "--dir", "service"];
  const { key } = await command<{ key: string }>(...create);
  return new Client({ url, key });
}

/** What would be sent for this tenant: its name for the data is counted in its own budgets only. */
async function submission(client: Client) {
  const [publicSet] = await client.publicSets();
  return client.submission(await readTunedPrompt(prompt), { dataset: "mails", publicSet: publicSet!.id, steps: 5 });
}

/** Has the prompt transferred. @returns the transfer's id */
async function transfer(name: string, client: Client): Promise<string> {
  const { id } = await client.submit(await submission(client));
  for await (const { state } of client.wait(id)) if (state === "succeeded") console.log(`${name}: ${id} has ${state}`);
  return id;
}

/** What an action is refused with. */
async function refusal(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => new Error("It was allowed."),
    (cause: unknown) => cause,
  );
  if (error instanceof ProblemError) return `${error.status} ${error.message}`;
  throw error;
}

try {
  const acme = await tenant("Acme", "--money", "5", "--virtual-tokens", "100");
  const bolt = await tenant("Bolt", "--money", "50", "--virtual-tokens", "10");
  const [ofAcme, ofBolt] = await Promise.all([transfer("Acme", acme), transfer("Bolt", bolt)]);

  for (const [name, client] of Object.entries({ Acme: acme, Bolt: bolt })) {
    const { virtualTokens: tokens, money } = await client.budget();
    const { transfers } = await client.transfers();
    console.log(`${name} sees: ${transfers.map(({ id }) => id).join(", ")}`);
    console.log(
      `${name} has used ${tokens.used} of ${tokens.limit} virtual tokens, ${money.used} of ${money.limit} micros`,
    );
    const { refusals } = await client.quote(await submission(client));
    console.log(`${name} once more: ${refusals.map(({ message }) => message).join(" ") || "may be submitted"}`);
  }
  console.log(`Acme asks for Bolt's transfer: ${await refusal(acme.transfer(ofBolt))}`);
  console.log(`Bolt asks for Acme's prompt: ${await refusal(bolt.download(ofAcme))}`);
} finally {
  await close();
}
