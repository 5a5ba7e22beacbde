import { z } from "zod";
import { ProblemError } from "../protocol/errors.ts";
import { parseJson, quote, validate } from "../protocol/json.ts";
import { isFloatDtype, toFloat32 } from "./dtype.ts";
import { encodeSafetensors, parseHeader } from "./safetensors.ts";

/** The two files of a PEFT adapter folder. */
export const CONFIG_FILE = "adapter_config.json";
export const WEIGHTS_FILE = "adapter_model.safetensors";
/** The one tensor of a prompt-tuning adapter, as every version of PEFT names it. */
export const PROMPT_TENSOR = "prompt_embeddings";

/** Published soft prompts have 5 to 150 rows; more than this fits no model's positions beside a text. */
export const MAX_VIRTUAL_TOKENS = 4096;
/** The widest open models have 18 432. */
export const MAX_DIMENSION = 65_536;
/** PEFT writes about 500 bytes. */
export const MAX_CONFIG_CHARACTERS = 64 * 1024;

const TITLE = "The soft prompt is not valid";

/**
 * What is read of a PEFT config. Fields that have no bearing on a prompt's meaning are let through: they differ from one
 * version of PEFT to the next (`tokenizer_kwargs`, `modules_to_save`, `peft_version`, …).
 */
const configSchema = z.looseObject({
  peft_type: z.literal("PROMPT_TUNING", { error: "Must be PROMPT_TUNING: no other adapter is a soft prompt." }),
  num_virtual_tokens: z.int().min(1).max(MAX_VIRTUAL_TOKENS),
  token_dim: z.int().min(1).max(MAX_DIMENSION).nullish(),
  num_transformer_submodules: z
    .literal(1, { error: "Must be 1 or null: encoder-decoder prompts are not supported." })
    .nullish(),
  base_model_name_or_path: z.string().nullish(),
});

export interface Adapter {
  /** `[virtualTokens, dimension]`, row-major; every value is finite. */
  readonly prompt: Float32Array;
  readonly virtualTokens: number;
  readonly dimension: number;
  /** What the config calls the model it was tuned on. */
  readonly baseModel: string | null;
}

/**
 * Reads the two files of a PEFT prompt-tuning folder, as PEFT 0.10 to 0.21 write them (F32, F16 or BF16).
 *
 * @param configText the text of `adapter_config.json`
 * @param weightBytes the bytes of `adapter_model.safetensors`
 * @param name of the folder, for messages
 * @throws ProblemError naming file and field or tensor
 */
export function parseAdapter(configText: string, weightBytes: Uint8Array, name: string): Adapter {
  const configName = `${name}/${CONFIG_FILE}`;
  if (configText.length > MAX_CONFIG_CHARACTERS) {
    throw new ProblemError(
      TITLE,
      `${configName} has ${configText.length} characters; at most ${MAX_CONFIG_CHARACTERS} are read.`,
    );
  }
  const config = validate(configSchema, parseJson(configText, configName, TITLE), configName, TITLE);
  const prompt = parsePromptTensor(weightBytes, `${name}/${WEIGHTS_FILE}`);
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
  return { ...prompt, baseModel: config.base_model_name_or_path ?? null };
}

/**
 * Reads a safetensors file that holds exactly one soft prompt.
 *
 * @param name of the file, for messages
 * @throws ProblemError if the file is broken, holds anything but the one tensor, or has a value that isn't finite
 */
export function parsePromptTensor(bytes: Uint8Array, name: string): Omit<Adapter, "baseModel"> {
  const { tensors } = parseHeader(bytes, bytes.length, name);
  const wrong = (message: string) =>
    new ProblemError(TITLE, `${name}: ${message}`, {
      status: 422,
      faults: [{ at: `${name}, tensor ${PROMPT_TENSOR}`, message }],
    });

  const entry = tensors.get(PROMPT_TENSOR);
  if (!entry || tensors.size !== 1) {
    const found = [...tensors.keys()].slice(0, 5).map(quote).join(", ") || "none";
    throw wrong(`Must hold exactly one tensor, "${PROMPT_TENSOR}"; it holds ${tensors.size}: ${found}.`);
  }
  const [virtualTokens, dimension] = entry.shape;
  if (entry.shape.length !== 2 || !virtualTokens || !dimension) {
    throw wrong(`The shape must be [virtual tokens, dimension]; it is [${entry.shape}].`);
  }
  if (virtualTokens > MAX_VIRTUAL_TOKENS || dimension > MAX_DIMENSION) {
    throw wrong(`The shape [${entry.shape}] is above the limit [${MAX_VIRTUAL_TOKENS}, ${MAX_DIMENSION}].`);
  }
  if (!isFloatDtype(entry.dtype)) throw wrong(`The dtype must be F32, F16 or BF16; it is ${entry.dtype}.`);
  const prompt = toFloat32(bytes.subarray(entry.begin, entry.end), entry.dtype);
  const bad = prompt.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw wrong(
      `Row ${Math.floor(bad / dimension)}, column ${bad % dimension} is ${prompt[bad]}; every value must be finite.`,
    );
  }
  return { prompt, virtualTokens, dimension };
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
