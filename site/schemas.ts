import { prose } from "./commands.ts";

/** What is read of a JSON schema. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

export type Schemas = Readonly<Record<string, Schema>>;

/** Deeper fields are in the description itself. */
const DEEPEST = 3;

/** The fields of a body as rows of a table: name with its path, type, meaning. A body that is no object is one row. */
export function fieldRows(schema: Schema, schemas: Schemas): string[] {
  const rows = fieldsOf(schema, "", schemas, 0);
  return rows.length > 0 ? rows : [row("", typeOf(schema, schemas), schema.description)];
}

function fieldsOf(schema: Schema, before: string, schemas: Schemas, depth: number): string[] {
  const { properties = {}, required = [], allOf, oneOf, anyOf } = resolved(schema, schemas);
  const parts = [...(allOf ?? []), ...(oneOf ?? []), ...(anyOf ?? [])];
  const own = Object.entries(properties).flatMap(([name, field]) => {
    const path = `${before}${name}`;
    const optional = required.includes(name) ? "" : "?";
    const { description } = resolved(field, schemas);
    const type = typeOf(field, schemas);
    const inner = depth + 1 < DEEPEST ? innerOf(field, path, schemas, depth + 1) : [];
    return [row(`${path}${optional}`, type, field.description ?? description), ...inner];
  });
  return [...new Set([...own, ...parts.flatMap((part) => fieldsOf(part, before, schemas, depth))])];
}

/** Fields of an object in a field, or of the objects of a list or record in it. */
function innerOf(field: Schema, path: string, schemas: Schemas, depth: number): string[] {
  const { items, additionalProperties, anyOf, properties } = resolved(field, schemas);
  if (properties) return fieldsOf(field, `${path}.`, schemas, depth);
  if (items) return innerOf(items, `${path}[]`, schemas, depth);
  if (typeof additionalProperties === "object") return innerOf(additionalProperties, `${path}{}`, schemas, depth);
  if (anyOf) return anyOf.flatMap((each) => innerOf(each, path, schemas, depth));
  return fieldsOf(field, `${path}.`, schemas, depth);
}

function row(name: string, type: string, description = ""): string {
  return `| ${name === "" ? "" : `\`${name}\``} | ${prose(type)} | ${prose(description.replaceAll(/\s+/g, " "))} |`;
}

function typeOf(schema: Schema, schemas: Schemas): string {
  const { type, format, items, additionalProperties, anyOf, oneOf, allOf, properties, ...rest } = resolved(
    schema,
    schemas,
  );
  if (rest.const !== undefined) return JSON.stringify(rest.const);
  if (rest.enum) return rest.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (items) return `list of ${typeOf(items, schemas)}`;
  const parts = anyOf ?? oneOf ?? allOf;
  if (parts) return [...new Set(parts.map((each) => typeOf(each, schemas)))].join(allOf ? " & " : " | ");
  if (properties === undefined && typeof additionalProperties === "object") {
    return `record of ${typeOf(additionalProperties, schemas)}`;
  }
  return [[type ?? (properties ? "object" : "anything")].flat().join(" | "), format].filter(Boolean).join(", ");
}

function resolved(schema: Schema, schemas: Schemas): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name === undefined ? schema : resolved(schemas[name] ?? {}, schemas);
}
