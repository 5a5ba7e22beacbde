/** CloudFormation templates as the stacks' tests look at them. */
import { createRequire } from "node:module";
import type { Template } from "aws-cdk-lib/assertions";

/** What CloudFormation takes without a bucket to put the template in. */
export const MAX_TEMPLATE_BYTES = 51_200;

// biome-ignore lint/suspicious/noExplicitAny: a template is JSON of many shapes
export type Properties = any;

/** The properties of all resources of a type. */
export const of = (template: Template, type: string): Properties[] =>
  Object.values(template.findResources(type)).map((resource) => resource.Properties);

const { CompositeEngine, TemplateContent } = createRequire(createRequire(import.meta.url).resolve("aws-cdk-lib"))(
  "@aws/cloudformation-validate",
);
const engine = new CompositeEngine();

interface Diagnostic {
  readonly severity: string;
  readonly ruleId: string;
  readonly message: string;
}

/** What CloudFormation's schemas and rules say of a template. */
export function diagnose(text: string): Diagnostic[] {
  return engine.validateTemplate(new TemplateContent(text)).diagnostics;
}

// W3010 minds that zones are named: which of them have GPUs, only the account's owner can find out.
export const minded = (diagnostics: readonly Diagnostic[]) =>
  diagnostics.filter(({ severity, ruleId }) => severity !== "INFO" && ruleId !== "W3010");
