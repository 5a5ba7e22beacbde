import type { Value } from "../shared/graph/engine.ts";
import type { LossName } from "../shared/protocol/manifest.ts";
import type { PrivateData, PublicTexts } from "./data.ts";
import { promptDigest } from "./digest.ts";
import type { TaskModel } from "./model.ts";
import type { StudySettings, TuneSettings } from "./settings.ts";
import type { Store } from "./store.ts";
import { type Transferred, transferBest } from "./transfers.ts";

/** Something that a test row is given to: a model with a prompt, or without. */
export interface Method {
  readonly method: string;
  /** The public set that it used. */
  readonly publicSet: string | null;
  readonly seed: number;
  readonly model: "target" | "student";
  readonly prompt?: Value | undefined;
  /** Accuracy on the validation rows. */
  readonly validation: number;
  /** What was measured on public texts. */
  readonly travel?: Transferred | undefined;
}

export interface Case {
  /** Path of its results in the store. */
  readonly path: string;
  readonly data: PrivateData;
  readonly student: TaskModel;
  readonly target: TaskModel;
  readonly publicSets: ReadonlyMap<string, PublicTexts>;
}

type Tuned = { method: string; model: "target" | "student"; seed: number; prompt: Value; validation: number };

/** Makes every prompt of a task, choosing settings by validation rows and by public texts; test rows are not known here. */
export async function fitAll(store: Store, { path, data, student, target, publicSets }: Case, settings: StudySettings) {
  const methods: Method[] = [];
  const add = (method: Omit<Method, "publicSet"> & { publicSet?: string }) =>
    methods.push({ ...method, publicSet: method.publicSet ?? null });
  const validate = async (model: TaskModel, prompt?: Value) => model.accuracy(data.validation, prompt);
  for (const [name, model] of [
    ["target", target],
    ["student", student],
  ] as const) {
    const { figures } = await store.once(
      `${path}/zero-shot-${name}`,
      { ...factsOf(data), model: model.digest },
      async () => ({
        figures: { validation: await validate(model) },
      }),
    );
    add({ method: `${name} zero-shot`, model: name, seed: 0, validation: figures.validation });
  }
  const tuned: Tuned[] = [];
  for (const [name, model, method] of [
    ["student", student, "compressed PT"],
    ["target", target, "full PT"],
  ] as const) {
    tuned.push(...(await tuneSeeds(store, `${path}/${method}`, { data, model, name, method }, settings)));
  }
  for (const privacy of privacyOf(settings)) {
    const { epsilon, rowsOfPerson } = privacy;
    const unit = rowsOfPerson > 0 ? ` for people of ${rowsOfPerson} rows` : "";
    const method = `DP compressed PT, ε ${epsilon}${unit}`;
    const tuning = { data, model: student, name: "student", method, privacy } as const;
    tuned.push(...(await tuneSeeds(store, `${path}/${method}`, tuning, settings)));
  }
  const chosen = new Map<string, readonly number[]>();
  for (const each of tuned) {
    add(each);
    if (each.method === "compressed PT") add(await direct(store, path, each, target, data));
    for (const [set, { texts, digest }] of publicSets) {
      for (const variant of variantsOf(each.method, settings)) {
        if (variant.once && each.seed > 0) continue;
        const name = `${path}/${variant.method} ${set} seed ${each.seed}`;
        const plan = {
          teacher: each.model === "student" ? student : target,
          teacherPrompt: each.prompt,
          target,
          texts,
          loss: variant.loss,
          alpha: variant.alpha,
          select: variant.select,
          seed: each.seed,
        };
        // What the first seed's held-out texts chose is good enough for the others.
        const learningRates = chosen.get(`${variant.method} ${set}`) ?? settings.learningRates;
        const { transfer, publicTexts } = settings;
        const between = { teacher: plan.teacher.digest, target: target.digest, public: digest };
        const from = promptDigest(each.prompt);
        const facts = { ...factsOf(data), ...between, transfer, learningRates, publicTexts, ...variant, from };
        const { figures, prompt } = await store.once(name, facts, async () => {
          const made = await transferBest(plan, { ...settings, learningRates });
          return {
            figures: { travel: made.figures, validation: await validate(target, made.prompt) },
            prompt: made.prompt,
          };
        });
        chosen.set(`${variant.method} ${set}`, [figures.travel.learningRate]);
        add({ method: variant.method, publicSet: set, model: "target", seed: each.seed, prompt, ...figures });
      }
    }
  }
  return methods;
}

interface Privacy {
  readonly epsilon: number;
  /** 0: the unit is the row. */
  readonly rowsOfPerson: number;
}

/** What private tunings promise: each ε to rows, and to people if there are such. */
function privacyOf({ epsilons, rowsOfPerson }: StudySettings): Privacy[] {
  const units = rowsOfPerson > 0 ? [0, rowsOfPerson] : [0];
  return units.flatMap((rowsOfPerson) => epsilons.map((epsilon) => ({ epsilon, rowsOfPerson })));
}

/** A way of transferring a prompt. */
interface Variant {
  readonly method: string;
  readonly loss: LossName;
  readonly alpha: number;
  readonly select?: number;
  /** Whether the first seed is enough: it is there to compare with. */
  readonly once?: boolean;
}

/** What is made of a tuned prompt. */
function variantsOf(method: string, { losses, alpha, select }: StudySettings): Variant[] {
  const own = { loss: "classes", alpha } as const;
  if (method === "full PT") return [{ ...own, method: "oracle", once: true }];
  if (method !== "compressed PT") return [{ ...own, method: method.replace("compressed PT", "POST") }];
  const variants: Variant[] = [{ ...own, method: "POST" }];
  if (losses.includes("vocabulary")) {
    variants.push({ method: "POST, vocabulary loss", loss: "vocabulary", alpha: 0.5, once: true });
  }
  if (select > 0) variants.push({ ...own, method: `POST, ${select} selected`, select });
  return variants;
}

async function direct(store: Store, path: string, { prompt, seed }: Tuned, target: TaskModel, data: PrivateData) {
  const name = `${path}/direct seed ${seed}`;
  const { figures } = await store.once(
    name,
    { ...factsOf(data), model: target.digest, of: promptDigest(prompt) },
    async () => ({
      figures: { validation: await target.accuracy(data.validation, prompt) },
    }),
  );
  return { method: "direct transfer", model: "target" as const, seed, prompt, ...figures };
}

/** What every step depends on. */
function factsOf({ task, digest }: PrivateData) {
  return { task, rows: digest };
}

interface Tuning {
  readonly data: PrivateData;
  readonly model: TaskModel;
  readonly name: "target" | "student";
  readonly method: string;
  readonly privacy?: Privacy;
}

/** Tunes with every schedule and the first seed, and with the one that validation rows prefer and the others. */
async function tuneSeeds(store: Store, path: string, tuning: Tuning, settings: StudySettings): Promise<Tuned[]> {
  const { data, model, name, method, privacy } = tuning;
  const { epsilon, rowsOfPerson } = privacy ?? {};
  const { promptTokens } = settings;
  const schedules: readonly (TuneSettings & { clip?: number })[] =
    epsilon === undefined ? settings.tune : settings.privateTune;
  const run = async (schedule: TuneSettings & { clip?: number }, index: number, seed: number): Promise<Tuned> => {
    const person = rowsOfPerson && { rowsOfPerson };
    const facts = { ...factsOf(data), model: model.digest, schedule, promptTokens, epsilon, ...person };
    const { figures, prompt } = await store.once(`${path} schedule ${index} seed ${seed}`, facts, async () => {
      const made =
        epsilon !== undefined && schedule.clip !== undefined
          ? await model.tunePrivately(
              data.train,
              promptTokens,
              { ...schedule, clip: schedule.clip },
              epsilon,
              rowsOfPerson,
            )
          : await model.tune(data.train, promptTokens, schedule, seed);
      return { figures: { validation: await model.accuracy(data.validation, made) }, prompt: made };
    });
    return { method, model: name, seed, prompt: prompt!, validation: figures.validation };
  };
  const first: Tuned[] = [];
  for (const [index, schedule] of schedules.entries()) first.push(await run(schedule, index, 0));
  const best = first.reduce((a, b, i) => (b.validation > first[a]!.validation ? i : a), 0);
  const rest: Tuned[] = [];
  for (let seed = 1; seed < settings.seeds; seed++) rest.push(await run(schedules[best]!, best, seed));
  return [first[best]!, ...rest];
}
