import { add } from "./operators/elementwise.ts";
import { constant, type Node, type Tensor } from "./tensor.ts";

/**
 * The gradients of a tensor, a scalar if nothing else is said, with respect to tensors, as tensors: one walk backwards over the nodes that lead from a
 * wanted tensor to it. Nothing is built for inputs that no wanted tensor reaches.
 * @param output a scalar (shape `[]` or all ones), or any tensor if its own gradient is given
 * @param wanted tensors that the output depends on
 * @param ofOutput the gradient of the output itself
 * @returns one gradient for each of `wanted`, of its shape (`[B, …]` where its leading dimension is `PER_EXAMPLE`)
 * @throws Error if the output does not depend on a wanted tensor, or an operator on the way has no gradient rule
 */
export function gradients(output: Tensor, wanted: readonly Tensor[], ofOutput = constant(1)): readonly Tensor[] {
  const found = new Map<Tensor, Tensor>([[output, ofOutput]]);
  for (const node of nodesBetween(wanted, output).reverse()) backward(node.node, node.active, found);
  return wanted.map((tensor, i) => {
    const gradient = found.get(tensor);
    if (!gradient) throw new Error(`the output does not depend on wanted tensor ${i}`);
    return gradient;
  });
}

interface ActiveNode {
  readonly node: Node;
  /** Which of what it has gradients of depends on a wanted tensor. */
  readonly active: readonly boolean[];
}

/** The nodes on a way from a wanted tensor to the output, inputs before the nodes that use them. */
function nodesBetween(wanted: readonly Tensor[], output: Tensor): ActiveNode[] {
  const targets = new Set(wanted);
  const depends = new Map<Node, boolean>();
  const order: ActiveNode[] = [];
  const leads = (tensor: Tensor): boolean => {
    const { source } = tensor;
    const above = source.kind === "node" && !source.node.operator.constant && visit(source.node);
    return targets.has(tensor) || above;
  };
  const visit = (node: Node): boolean => {
    const known = depends.get(node);
    if (known !== undefined) return known;
    const active = sourcesOf(node).map(leads);
    const any = active.some(Boolean);
    depends.set(node, any);
    if (any) order.push({ node, active });
    return any;
  };
  leads(output);
  return order;
}

/** What a node has gradients of. */
function sourcesOf({ operator, inputs }: Node): readonly Tensor[] {
  return operator.towards ?? inputs;
}

function backward(node: Node, active: readonly boolean[], found: Map<Tensor, Tensor>): void {
  const given = node.outputs.map((tensor) => found.get(tensor));
  const gradient = given[0] ?? given.find((g) => g !== undefined);
  if (!gradient) return;
  if (!node.operator.gradient) throw new Error(`${node.operator.type} has no gradient rule`);
  const rules = node.operator.gradient({ gradient, gradients: given, ...node });
  sourcesOf(node).forEach((tensor, i) => {
    if (!active[i]) return;
    const make = rules[i];
    if (!make) throw new Error(`${node.operator.type} has no gradient for input ${i}`);
    const before = found.get(tensor);
    const part = make();
    found.set(tensor, before ? add(before, part) : part);
  });
}
