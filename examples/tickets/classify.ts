/** Tunes a prompt on labelled support tickets, saves it, and lets it sort new ones. */
import { rm } from "node:fs/promises";
import { type ClassificationTask, openModel, predict, savePrompt, tune } from "softpost";

/** How a ticket is put to the model, and the word that stands for each team: one token in the model's vocabulary. */
const task: ClassificationTask = {
  name: "tickets",
  template: "{text} This is about a",
  labels: [
    { name: "account", words: [" person"] },
    { name: "billing", words: [" bill"] },
    { name: "fault", words: [" machine"] },
  ],
  init: "Read the ticket and say which team it is for.",
  maxLength: 48,
};

const NEW = [
  "Die Überweisung ist schon raus,\ntrotzdem wurde uns der Zugang „Büro“ gesperrt.",
  "You charged us twice for May.",
  "It crashes when I save.",
];

const model = await openModel("demo/model");
// The columns have names of their own; quotes, line breaks and the byte order mark are the reader's business.
const train = { path: "examples/tickets/tickets.csv", columns: { text: "message", label: "team" } };
// So few tickets drown in the noise of a guarantee. This prompt may say something of them, and so stays here, as they do: one that is to be sent
// to a provider, or published, needs `epsilon`, and some hundred tickets.
const prompt = await tune(
  { model, task, train, promptTokens: 10, steps: 80, batchSize: 12, learningRate: 0.01 },
  { onEvent: (event) => event.kind === "note" && console.log(event.text) },
);
console.log(`Tuned: loss ${prompt.loss.toFixed(3)} on the last tickets`);

// A folder as PEFT writes it; what an earlier run of this example left there goes.
await rm("tickets-prompt", { recursive: true, force: true });
await savePrompt(prompt, "tickets-prompt");

for (const [i, prediction] of (await predict({ model, prompt, texts: NEW })).entries()) {
  if ("label" in prediction) console.log(`${prediction.label.padEnd(8)} ${JSON.stringify(NEW[i])}`);
}
