import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { parseJson, quote, validate } from "../protocol/json.ts";
import { type FloatDtype, isFloatDtype, toFloat32 } from "./dtype.ts";
import { encodeSafetensors, parseHeader, type SafetensorsHeader, type TensorEntry } from "./safetensors.ts";

/** The two files of a PEFT adapter folder. */
export const CONFIG_FILE = "adapter_config.json";
export const WEIGHTS_FILE = "adapter_model.safetensors";
/** The one tensor of a prompt-tuning adapter, as every version of PEFT names it. */
const PROMPT_TENSOR = "prompt_embeddings";

/** Published soft prompts have 5 to 150 rows; more than this fits no model's positions beside a text. */
export const MAX_VIRTUAL_TOKENS = 4096;
/** The widest open models have 18 432. */
const MAX_DIMENSION = 65_536;
/** PEFT writes about 500 bytes. */
export const MAX_CONFIG_CHARACTERS = 64 * 1024;

const TITLE = "The soft prompt is not valid";

/**
 * What is read of a PEFT config. Fields that have no bearing on a prompt's meaning are let through: they differ from one
 * version of PEFT to the next (`tokenizer_kwargs`, `modules_to_save`, `peft_version`, …).
 */
const configSchema = z.looseObject({
  peft_type: z.enum(["PROMPT_TUNING", "P_TUNING"], {
    error: "Must be PROMPT_TUNING or P_TUNING: no other adapter is one soft prompt before the text.",
  }),
  num_virtual_tokens: z.int().min(1).max(MAX_VIRTUAL_TOKENS),
  token_dim: z.int().min(1).max(MAX_DIMENSION).nullish(),
  num_transformer_submodules: z
    .literal(1, { error: "Must be 1 or null: encoder-decoder prompts are not supported." })
    .nullish(),
  base_model_name_or_path: z.string().nullish(),
  num_layers: z.int().nullish(),
  num_attention_heads: z.int().nullish(),
});

export interface Adapter {
  /** `[virtualTokens, dimension]`, row-major; every value is finite. */
  readonly prompt: Float32Array;
  readonly virtualTokens: number;
  readonly dimension: number;
  /** What the config calls the model it was tuned on. */
  readonly baseModel: string | null;
}

/** A PEFT folder as it was read. */
export interface PeftAdapter extends Adapter {
  /** Layers and heads of the model that it was tuned on, where the config says them. */
  readonly layers: number | null;
  readonly heads: number | null;
  /** Layers of the model itself that lie beside the prompt (PEFT's `save_embedding_layers`), by PEFT's names for them. */
  readonly saved: ReadonlyMap<string, TensorEntry>;
}

/**
 * Reads the two files of a PEFT prompt-tuning or P-tuning folder, as PEFT 0.10 to 0.21 write them (F32, F16 or BF16). What P-tuning's
 * encoder made is the same one matrix.
 *
 * @param configText the text of `adapter_config.json`
 * @param header of `adapter_model.safetensors`
 * @param promptBytes the bytes of the tensor that `promptEntry` gives
 * @param name of the folder, for messages
 * @throws ProblemError naming file and field or tensor
 */
export function parseAdapter(
  configText: string,
  { tensors }: SafetensorsHeader,
  promptBytes: Uint8Array,
  name: string,
): PeftAdapter {
  const configName = `${name}/${CONFIG_FILE}`;
  if (configText.length > MAX_CONFIG_CHARACTERS) {
    throw new ProblemError(
      TITLE,
      `${configName} has ${configText.length} characters; at most ${MAX_CONFIG_CHARACTERS} are read.`,
    );
  }
  const config = validate(configSchema, parseJson(configText, configName, TITLE), configName, TITLE);
  const weightsName = `${name}/${WEIGHTS_FILE}`;
  const prompt = promptValues(promptBytes, promptEntry(tensors, weightsName), weightsName);
  const says = `${configName} says ${config.num_virtual_tokens} × ${config.token_dim ?? "any"}`;
  if (
    prompt.virtualTokens !== config.num_virtual_tokens ||
    (config.token_dim != null && prompt.dimension !== config.token_dim)
  ) {
    throw new ProblemError(
      TITLE,
      `${says}, but the tensor in ${WEIGHTS_FILE} is ${prompt.virtualTokens} × ${prompt.dimension}.`,
      {
        status: 422,
      },
    );
  }
  return {
    ...prompt,
    baseModel: config.base_model_name_or_path ?? null,
    layers: config.num_layers ?? null,
    heads: config.num_attention_heads ?? null,
    saved: new Map([...tensors].filter(([tensor]) => tensor !== PROMPT_TENSOR)),
  };
}

/**
 * Reads a safetensors file that holds exactly one soft prompt.
 *
 * @param name of the file, for messages
 * @throws ProblemError if the file is broken, holds anything but the one tensor, or has a value that isn't finite
 */
export function parsePromptTensor(bytes: Uint8Array, name: string): Omit<Adapter, "baseModel"> {
  const { tensors } = parseHeader(bytes, bytes.length, name);
  if (tensors.size !== 1) throw mustHold("exactly one tensor,", tensors, name);
  const entry = promptEntry(tensors, name);
  return promptValues(bytes.subarray(entry.begin, entry.end), entry, name);
}

/**
 * Where the soft prompt lies in a safetensors file. What lies beside it may only be layers of the model, which PEFT calls
 * `base_model.…`.
 *
 * @param name of the file, for messages
 * @throws ProblemError if there is none, other tensors lie there, or it isn't a matrix of floats within the limits
 */
export function promptEntry(tensors: ReadonlyMap<string, TensorEntry>, name: string): TensorEntry {
  const entry = tensors.get(PROMPT_TENSOR);
  const others = [...tensors.keys()].filter((tensor) => tensor !== PROMPT_TENSOR && !tensor.startsWith("base_model."));
  if (!entry || others.length > 0) throw mustHold("one tensor", tensors, name);
  const [virtualTokens, dimension] = entry.shape;
  if (entry.shape.length !== 2 || !virtualTokens || !dimension) {
    throw wrong(`The shape must be [virtual tokens, dimension]; it is [${entry.shape}].`, name);
  }
  if (virtualTokens > MAX_VIRTUAL_TOKENS || dimension > MAX_DIMENSION) {
    throw wrong(`The shape [${entry.shape}] is above the limit [${MAX_VIRTUAL_TOKENS}, ${MAX_DIMENSION}].`, name);
  }
  if (!isFloatDtype(entry.dtype)) throw wrong(`The dtype must be F32, F16 or BF16; it is ${entry.dtype}.`, name);
  return entry;
}

/** @param bytes of the tensor alone */
function promptValues(bytes: Uint8Array, { shape, dtype }: TensorEntry, name: string): Omit<Adapter, "baseModel"> {
  const [virtualTokens, dimension] = shape as [number, number];
  const prompt = toFloat32(bytes, dtype as FloatDtype);
  const bad = prompt.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    const [row, column] = [Math.floor(bad / dimension), bad % dimension];
    throw wrong(`Row ${row}, column ${column} is ${prompt[bad]}; every value must be finite.`, name);
  }
  return { prompt, virtualTokens, dimension };
}

function mustHold(what: string, tensors: ReadonlyMap<string, TensorEntry>, name: string): ProblemError {
  const found = [...tensors.keys()].slice(0, 5).map(quote).join(", ") || "none";
  return wrong(`Must hold ${what} "${PROMPT_TENSOR}"; it holds ${tensors.size}: ${found}.`, name);
}

function wrong(message: string, name: string): ProblemError {
  const faults = [{ at: `${name}, tensor ${PROMPT_TENSOR}`, message }];
  return new ProblemError(TITLE, `${name}: ${message}`, { status: 422, faults });
}

export interface AdapterFiles {
  /** The text of `adapter_config.json`. */
  readonly config: string;
  /** The bytes of `adapter_model.safetensors`. */
  readonly weights: Uint8Array;
}

/**
 * A PEFT prompt-tuning folder's two files. The config has only fields that every PEFT since 0.10 knows (older ones reject
 * unknown fields), and says RANDOM for the initialisation so that loading it needs no tokenizer.
 *
 * @param masked for a masked model, whose adapters PEFT puts before the text only where the task is FEATURE_EXTRACTION
 * @throws ProblemError if the prompt's length isn't virtualTokens × dimension or a value isn't finite
 */
export function encodeAdapter(adapter: Adapter & { readonly masked: boolean }): AdapterFiles {
  const { prompt, virtualTokens, dimension, baseModel, masked } = adapter;
  if (!prompt.every(Number.isFinite)) {
    throw new ProblemError(TITLE, "A value of the prompt is not finite, so it is not written.");
  }
  const config = {
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    inference_mode: true,
    num_attention_heads: null,
    num_layers: null,
    num_transformer_submodules: 1,
    num_virtual_tokens: virtualTokens,
    peft_type: "PROMPT_TUNING",
    prompt_tuning_init: "RANDOM",
    prompt_tuning_init_text: null,
    revision: null,
    task_type: masked ? "FEATURE_EXTRACTION" : "CAUSAL_LM",
    token_dim: dimension,
    tokenizer_name_or_path: null,
  };
  const tensor = { name: PROMPT_TENSOR, shape: [virtualTokens, dimension], data: prompt };
  return {
    config: `${JSON.stringify(config, null, 2)}\n`,
    weights: encodeSafetensors([tensor], { format: "pt" }),
  };
}
