// A loaded graph and the binding of its inputs and outputs to tensors.

import type { OrtApi, Pointer } from "./ort-api.ts";
import type { Tensor } from "./runtime.ts";

export class Session {
  readonly #api: OrtApi;
  readonly #session: Pointer;
  readonly #runOptions: Pointer;

  constructor(api: OrtApi, session: Pointer) {
    this.#api = api;
    this.#session = session;
    this.#runOptions = api.create("CreateRunOptions");
  }

  createBinding(): Binding {
    return new Binding(this.#api, this.#session, this.#runOptions);
  }

  dispose(): void {
    this.#api.release("ReleaseRunOptions", this.#runOptions);
    this.#api.release("ReleaseSession", this.#session);
  }
}

/** Which tensors a run reads and writes. Binding a name again replaces its tensor. */
export class Binding {
  readonly #api: OrtApi;
  readonly #session: Pointer;
  readonly #runOptions: Pointer;
  readonly #binding: Pointer;

  constructor(api: OrtApi, session: Pointer, runOptions: Pointer) {
    this.#api = api;
    this.#session = session;
    this.#runOptions = runOptions;
    this.#binding = api.create("CreateIoBinding", session);
  }

  input(name: string, tensor: Tensor): void {
    this.#api.call("BindInput", this.#binding, name, tensor.value);
  }

  /** The tensor must have the shape that the graph will produce. */
  output(name: string, tensor: Tensor): void {
    this.#api.call("BindOutput", this.#binding, name, tensor.value);
  }

  /** Runs the graph; returns when the outputs are written. */
  run(): void {
    this.#api.call("RunWithBinding", this.#session, this.#runOptions, this.#binding);
  }

  dispose(): void {
    this.#api.release("ReleaseIoBinding", this.#binding);
  }
}
