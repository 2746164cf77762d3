// A loaded graph and the binding of its inputs and outputs to tensors.

import { assert } from "../core/errors.ts";
import type { OrtApi, Pointer } from "./ort-api.ts";
import type { Tensor } from "./runtime.ts";

type SessionTraits = {
  /** Runs return when their work is queued on the device, not when it is done. */
  readonly isQueued: boolean;
  readonly capturesGraphs: boolean;
};

/** Stands for "not as a graph" in the run option gpu_graph_id. */
const eager = -1;
/** What a node failed with while a graph was captured is only logged: the status says no more than that the capture failed. */
const errorsToo = 3;

export class Session {
  readonly #api: OrtApi;
  readonly #session: Pointer;
  readonly #traits: SessionTraits;
  /** By graph id. */
  readonly #runOptions = new Map<number, Pointer>();

  constructor(api: OrtApi, session: Pointer, traits: SessionTraits) {
    this.#api = api;
    this.#session = session;
    this.#traits = traits;
  }

  createBinding(): Binding {
    const binding = this.#api.create("CreateIoBinding", this.#session);
    return new Binding(this.#api, binding, (graphId) => this.#run(binding, graphId));
  }

  dispose(): void {
    for (const options of this.#runOptions.values()) this.#api.release("ReleaseRunOptions", options);
    this.#api.release("ReleaseSession", this.#session);
  }

  #run(binding: Pointer, graphId: number | undefined): void {
    assert(graphId === undefined || this.#traits.capturesGraphs, "this session was not opened to capture graphs");
    this.#api.call("RunWithBinding", this.#session, this.#optionsFor(graphId ?? eager), binding);
  }

  #optionsFor(graphId: number): Pointer {
    const known = this.#runOptions.get(graphId);
    if (known !== undefined) return known;
    const options = this.#api.create("CreateRunOptions");
    this.#runOptions.set(graphId, options);
    if (this.#traits.isQueued) this.#api.call("AddRunConfigEntry", options, "disable_synchronize_execution_providers", "1");
    if (this.#traits.capturesGraphs) this.#api.call("AddRunConfigEntry", options, "gpu_graph_id", String(graphId));
    if (graphId !== eager) this.#api.call("RunOptionsSetRunLogSeverityLevel", options, errorsToo);
    return options;
  }
}

/** Which tensors a run reads and writes. Binding a name again replaces its tensor. */
export class Binding {
  readonly #api: OrtApi;
  readonly #binding: Pointer;
  readonly #run: (graphId: number | undefined) => void;
  readonly #bound = new Map<string, Tensor>();
  #graphId: number | undefined;

  constructor(api: OrtApi, binding: Pointer, run: (graphId: number | undefined) => void) {
    this.#api = api;
    this.#binding = binding;
    this.#run = run;
  }

  input(name: string, tensor: Tensor): void {
    this.#bind("BindInput", name, tensor);
  }

  /** The tensor must have the shape that the graph will produce. */
  output(name: string, tensor: Tensor): void {
    this.#bind("BindOutput", name, tensor);
  }

  /** Runs the graph. On a CPU the outputs are written when it returns, on a GPU when the device has been synchronized. */
  run(): void {
    assert(this.#graphId === undefined, "a captured binding runs as its graph");
    this.#run(undefined);
  }

  /**
   * Runs as the CUDA graph of this id: the first time kernel by kernel while the graph is captured, later as one launch. The graph keeps the addresses,
   * the shapes and the values of host inputs it was captured with, so after the first run nothing can be rebound, and the id belongs to this binding.
   */
  runAsGraph(graphId: number): void {
    this.#graphId ??= graphId;
    assert(this.#graphId === graphId, `a binding captured as graph ${this.#graphId} cannot run as graph ${graphId}`);
    this.#run(graphId);
  }

  dispose(): void {
    this.#api.release("ReleaseIoBinding", this.#binding);
  }

  #bind(kind: "BindInput" | "BindOutput", name: string, tensor: Tensor): void {
    if (this.#bound.get(name) === tensor) return;
    assert(this.#graphId === undefined, `${name} cannot be bound anew: graph ${this.#graphId} has been captured with another tensor`);
    this.#api.call(kind, this.#binding, name, tensor.value);
    this.#bound.set(name, tensor);
  }
}
