// An ONNX graph under construction: typed values, nodes named by scope path, weights that are produced only when the file is written.

import { elementBytes, elementCount, type DataType } from "../../core/data-type.ts";
import { assert } from "../../core/errors.ts";

/** A number, or the name of a dimension that is known at run time. */
export type Dim = number | string;

export type Value = { readonly name: string; readonly dtype: DataType; readonly shape: readonly Dim[] };

export type Attribute = number | string | readonly number[] | { readonly float: number } | Graph;

export type Node = {
  readonly name: string;
  readonly domain: string;
  readonly op: string;
  /** "" stands for an input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
};

/** A range of rows (the first dimension) of a tensor. */
type RowRange = { readonly start: number; readonly count: number };

/** A tensor of the checkpoint under the hub's name, or some rows of it. `shape` is that of the whole tensor. */
export type TensorRef = { readonly name: string; readonly shape: readonly number[]; readonly rows?: RowRange };

/**
 * How to produce some rows of one or several weights. Pieces are independent: any thread computes them in any order. `encode` gets the
 * float32 tensors of `reads` and returns the bytes of these rows for each weight.
 */
export type Piece = {
  readonly rows: number;
  readonly reads: readonly TensorRef[];
  readonly encode: (tensors: readonly Float32Array[]) => readonly Uint8Array[];
};

/** A value of known size. */
type Weight = Value & { readonly shape: readonly number[] };

/** Weights that are computed together, from the first row to the last. */
type Production = { readonly weights: readonly Weight[]; readonly pieces: readonly Piece[] };

export type Initializer = {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly content: { readonly inline: Uint8Array } | "external";
};

export const microsoft = "com.microsoft";

/** What a graph shares with the branches inside it. */
type Shared = { readonly productions: Production[]; readonly names: Set<string>; readonly domains: Set<string> };

type GraphState = {
  readonly inputs: Value[];
  readonly outputs: Value[];
  readonly nodes: Node[];
  readonly initializers: Map<string, Initializer>;
  readonly constants: Map<string, Value>;
  /** Names of constants begin with it. */
  readonly constantPath: string;
  readonly shared: Shared;
};

export class Graph {
  readonly #state: GraphState;
  readonly #path: string;

  constructor(state = emptyState({ productions: [], names: new Set(), domains: new Set() }), path = "") {
    this.#state = state;
    this.#path = path;
  }

  get inputs(): readonly Value[] {
    return this.#state.inputs;
  }
  get outputs(): readonly Value[] {
    return this.#state.outputs;
  }
  get nodes(): readonly Node[] {
    return this.#state.nodes;
  }
  get initializers(): readonly Initializer[] {
    return [...this.#state.initializers.values()];
  }
  /** How the weights are produced, also those of branches. */
  get productions(): readonly Production[] {
    return this.#state.shared.productions;
  }
  /** The domains of all operators, also those in branches. "" is ONNX's own. */
  get domains(): ReadonlySet<string> {
    return this.#state.shared.domains;
  }

  /** The same graph, with names made below `name`. */
  scope(name: string): Graph {
    return new Graph(this.#state, this.#path ? `${this.#path}/${name}` : name);
  }

  input(name: string, dtype: DataType, shape: readonly Dim[]): Value {
    const value = { name, dtype, shape };
    this.#state.inputs.push(value);
    this.#state.shared.names.add(name);
    return value;
  }

  /** Declares `value` as the graph output `name`. The runtime drops the Identity when it loads the graph. */
  output(name: string, value: Value): void {
    this.#state.nodes.push({ name: `${name}/output`, domain: "", op: "Identity", inputs: [value.name], outputs: [name], attributes: {} });
    this.#state.outputs.push({ ...value, name });
  }

  /** Declares a node's own output name as a graph output, e.g. a cache that is updated in place. */
  directOutput(value: Value): void {
    this.#state.outputs.push(value);
  }

  /**
   * An `If` node: the value that `then` builds where `condition` (bool []) holds, and `otherwise` elsewhere, which costs a copy. Inside, `then` may
   * use all values of this graph. Weights that it adds are read only there.
   */
  choose(condition: Value, then: (branch: Graph) => Value, otherwise: (branch: Graph) => Value): Value {
    const branch = (name: string, build: (branch: Graph) => Value): { graph: Graph; value: Value } => {
      const path = this.scope(name).#path;
      const graph = new Graph(emptyState(this.#state.shared, path), path);
      const value = build(graph);
      graph.directOutput(value);
      return { graph, value };
    };
    const chosen = branch("then", then);
    const other = branch("else", otherwise);
    const [value] = this.node("If", [condition], [chosen.value], { attributes: { then_branch: chosen.graph, else_branch: other.graph } });
    return value!;
  }

  /** Adds a node; output names come from the scope path unless `outputNames` gives them. */
  node(
    op: string,
    inputs: readonly (Value | undefined)[],
    outputs: readonly (Omit<Value, "name"> | undefined)[],
    options: { domain?: string; attributes?: Readonly<Record<string, Attribute>>; outputNames?: readonly string[] } = {},
  ): Value[] {
    const name = this.#uniqueName(op);
    this.#state.shared.domains.add(options.domain ?? "");
    const values = outputs.map((output, i) => {
      const outputName = options.outputNames?.[i] ?? (outputs.length === 1 ? name : `${name}:${i}`);
      return output ? { ...output, name: outputName } : { name: "", dtype: "float32" as const, shape: [] };
    });
    while (inputs.length > 0 && inputs[inputs.length - 1] === undefined) inputs = inputs.slice(0, -1);
    this.#state.nodes.push({
      name,
      domain: options.domain ?? "",
      op,
      inputs: inputs.map((input) => input?.name ?? ""),
      outputs: values.map((value) => value.name),
      attributes: options.attributes ?? {},
    });
    return values;
  }

  /** A small constant kept inside the graph file; equal ones are stored once. */
  constant(dtype: DataType, shape: readonly number[], data: ArrayBufferView): Value {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    assert(
      bytes.length === elementCount(shape) * elementBytes[dtype],
      `constant of ${dtype}[${shape.join(",")}] has ${bytes.length} bytes`,
    );
    const key = `${dtype}[${shape.join(",")}]${Buffer.from(bytes).toString("base64")}`;
    const known = this.#state.constants.get(key);
    if (known) return known;
    const value = { name: `${this.#state.constantPath}constant.${this.#state.constants.size}`, dtype, shape };
    this.#state.constants.set(key, value);
    this.#state.initializers.set(value.name, { ...value, content: { inline: bytes } });
    return value;
  }

  /** A weight in the external data file. Nothing is read or computed before that file is written. */
  weight(name: string, dtype: DataType, shape: readonly number[], pieces: readonly Piece[]): Value {
    return this.weights([{ name, dtype, shape }], pieces)[0]!;
  }

  /** Weights that come from the same computation; a piece covers the same share of the rows of each. */
  weights(values: readonly Weight[], pieces: readonly Piece[]): Value[] {
    const named = values.map((value) => ({ ...value, name: this.#path ? `${this.#path}/${value.name}` : value.name }));
    for (const value of named) {
      assert(!this.#state.initializers.has(value.name), `weight ${value.name} is added twice`);
      this.#state.initializers.set(value.name, { ...value, content: "external" });
    }
    this.#state.shared.productions.push({ weights: named, pieces });
    return named;
  }

  #uniqueName(op: string): string {
    const base = this.#path ? `${this.#path}/${op}` : op;
    let name = base;
    for (let i = 1; this.#state.shared.names.has(name); i++) name = `${base}_${i}`;
    this.#state.shared.names.add(name);
    return name;
  }
}

function emptyState(shared: Shared, path = ""): GraphState {
  const constantPath = path && `${path}/`;
  return { inputs: [], outputs: [], nodes: [], initializers: new Map(), constants: new Map(), constantPath, shared };
}
