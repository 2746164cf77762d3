// ONNX Runtime's C API as it looks with a CUDA provider: the CPU computes, on memory that the fake GPU calls its own, when its stream says so.

import koffi from "koffi";
import { findOnnxRuntime, OrtApi, type FunctionName, type Pointer } from "../../src/runtime/ort-api.ts";
import type { FakeCuda } from "./fake-cuda.ts";
import type { Range } from "./fake-driver.ts";

type Value = Range & { readonly isCuda: boolean; readonly shape: string };
type BoundValues = Map<string, Value>;
type SessionState = {
  readonly capturesGraphs: boolean;
  /** By graph id: what was bound, and what inputs in host memory held, when it was recorded. */
  readonly graphs: Map<string, string>;
};

/** Names of options that the provider got for a session, and their values. */
type ProviderOptions = Readonly<Record<string, string>>;

export class FakeCudaApi extends OrtApi {
  /** Of each session in the order of opening. */
  readonly providerOptions: ProviderOptions[] = [];
  /** Graph ids in the order of the runs; "-1" is an eager one. */
  readonly graphIds: string[] = [];
  readonly #cuda: FakeCuda;
  #cudaInfo: Pointer | undefined;
  readonly #pending = new Map<Pointer, Record<string, string>>();
  readonly #appended = new Map<Pointer, ProviderOptions>();
  readonly #withoutPatterns = new Set<Pointer>();
  readonly #values = new Map<Pointer, Value>();
  readonly #sessions = new Map<Pointer, SessionState>();
  readonly #bindings = new Map<Pointer, { readonly session: Pointer; readonly bound: BoundValues; queuedRuns: number }>();
  readonly #runOptions = new Map<Pointer, Map<string, string>>();

  constructor(cuda: FakeCuda) {
    super(findOnnxRuntime());
    this.#cuda = cuda;
  }

  /** Leaks: objects of ONNX Runtime that live now. */
  get live(): string[] {
    const counts = { tensors: this.#values, sessions: this.#sessions, bindings: this.#bindings, runOptions: this.#runOptions };
    return Object.entries(counts).flatMap(([name, objects]) => (objects.size > 0 ? [`${objects.size} ${name}`] : []));
  }

  override call(name: FunctionName, ...args: unknown[]): void {
    if (name === "RunWithBinding") return this.#queueRun(...(args as [Pointer, Pointer, Pointer]));
    if (this.#answerProviderCall(name, args)) return;
    if (name === "BindInput" || name === "BindOutput") this.#noteBinding(...(args as [Pointer, string, Pointer]));
    if (name === "DisableMemPattern") this.#withoutPatterns.add(args[0] as Pointer);
    if (name === "AddRunConfigEntry") this.#runOptions.get(args[0] as Pointer)!.set(args[1] as string, args[2] as string);
    super.call(name, ...args);
    this.#noteCreation(name, args, (args.at(-1) as [Pointer])[0]);
  }

  override release(name: FunctionName, object: Pointer): void {
    if (name === "ReleaseCUDAProviderOptions") return void this.#pending.delete(object);
    if (name === "ReleaseIoBinding" && this.#bindings.get(object)?.queuedRuns) this.#cuda.violate("binding released before its run");
    const owners = {
      ReleaseValue: this.#values,
      ReleaseSession: this.#sessions,
      ReleaseIoBinding: this.#bindings,
      ReleaseRunOptions: this.#runOptions,
    };
    const owner: Map<Pointer, unknown> | undefined = owners[name as keyof typeof owners];
    if (owner && !owner.delete(object)) this.#cuda.violate(`${name} of what does not exist`);
    super.release(name, object);
  }

  /** True: the call has been answered here, because it needs the provider that this machine does not have. */
  #answerProviderCall(name: FunctionName, args: unknown[]): boolean {
    if (name === "CreateMemoryInfo") {
      const [memory, , , , slot] = args as [string, number, number, number, [Pointer]];
      if (memory !== "Cuda") return false;
      slot[0] = this.#cudaInfo = this.create("CreateCpuMemoryInfo", 0, 0);
    } else if (name === "CreateCUDAProviderOptions") {
      const key = BigInt(this.#pending.size + 1);
      this.#pending.set(key, {});
      (args[0] as [Pointer])[0] = key;
    } else if (name === "UpdateCUDAProviderOptions") {
      const [key, names, values] = args as [Pointer, string[], string[]];
      names.forEach((option, i) => (this.#pending.get(key)![option] = values[i]!));
    } else if (name === "UpdateCUDAProviderOptionsWithValue") {
      const [key, option, value] = args as [Pointer, string, Pointer];
      if (option !== "user_compute_stream" || value !== this.#cuda.stream) this.#cuda.violate(`option ${option} = ${value}`);
      this.#pending.get(key)![option] = "ours";
    } else if (name === "SessionOptionsAppendExecutionProvider_CUDA_V2") {
      this.#appended.set(args[0] as Pointer, { ...this.#pending.get(args[1] as Pointer)! });
    } else if (name === "AddSessionConfigEntry" && args[1] === "session.disable_cpu_ep_fallback") {
      return true; // the fake has kernels for everything
    } else {
      return false;
    }
    return true;
  }

  #noteCreation(name: FunctionName, args: unknown[], created: Pointer): void {
    if (name === "CreateTensorWithDataAsOrtValue") this.#values.set(created, this.#describeTensor(args));
    if (name === "CreateRunOptions") this.#runOptions.set(created, new Map());
    if (name === "CreateIoBinding") this.#bindings.set(created, { session: args[0] as Pointer, bound: new Map(), queuedRuns: 0 });
    if (name === "CreateSession") {
      const options = this.#appended.get(args[2] as Pointer);
      if (!options) this.#cuda.violate("a session without the CUDA provider");
      if (!this.#withoutPatterns.delete(args[2] as Pointer))
        this.#cuda.violate("a session whose second runs take memory that the first did not");
      this.#appended.delete(args[2] as Pointer);
      this.providerOptions.push(options);
      this.#sessions.set(created, { capturesGraphs: options["enable_cuda_graph"] === "1", graphs: new Map() });
    }
  }

  #describeTensor(args: unknown[]): Value {
    const [info, address, byteLength, dimensions] = args as [Pointer, Pointer, number, BigInt64Array];
    const isCuda = info === this.#cudaInfo;
    if (!this.#cuda.isIn(isCuda ? "device" : "pinned", { address, byteLength }, "in part"))
      this.#cuda.violate("tensor over memory of the wrong kind");
    return { address, byteLength, isCuda, shape: dimensions.join(",") };
  }

  #noteBinding(binding: Pointer, name: string, value: Pointer): void {
    const { bound, queuedRuns } = this.#bindings.get(binding)!;
    if (queuedRuns > 0) this.#cuda.violate(`${name} bound before the run with the tensor before it`);
    const described = this.#values.get(value);
    if (!described) this.#cuda.violate(`${name} bound to a tensor that does not exist`);
    // A name is an input or an output; cache tensors are both, under two names.
    bound.set(name, described);
  }

  #queueRun(session: Pointer, runOptions: Pointer, binding: Pointer): void {
    const state = this.#bindings.get(binding);
    const traits = this.#sessions.get(session);
    if (!state || !traits || state.session !== session) this.#cuda.violate("run with a binding of no session");
    const entries = this.#runOptions.get(runOptions)!;
    if (entries.get("disable_synchronize_execution_providers") !== "1") this.#cuda.violate("run that waits for the device");
    for (const value of state.bound.values()) this.#cuda.isIn(value.isCuda ? "device" : "pinned", value, "in part");
    const isFirst = this.#checkGraph(traits, entries.get("gpu_graph_id"), state.bound);
    const run = (): void => {
      state.queuedRuns--;
      // The first run of a graph id is done eagerly, then recorded and launched: the work must not mind being done twice.
      for (let i = 0; i < (isFirst ? 2 : 1); i++) super.call("RunWithBinding", session, runOptions, binding);
      this.#cuda.driver.checkUntouched();
    };
    state.queuedRuns++;
    this.#cuda.countRun();
    this.#cuda.enqueue({ label: "run", ranges: [...state.bound.values()], run });
  }

  /** Returns whether the run records a graph. */
  #checkGraph(session: SessionState, graphId: string | undefined, bound: BoundValues): boolean {
    if (session.capturesGraphs !== (graphId !== undefined)) this.#cuda.violate(`graph id ${graphId} in a session that cannot have one`);
    if (graphId === undefined) return false;
    this.graphIds.push(graphId);
    if (graphId === "-1") return false;
    const now = describe(bound);
    const recorded = session.graphs.get(graphId);
    if (recorded !== undefined && recorded !== now)
      this.#cuda.violate(`graph ${graphId} replayed with other tensors than it was recorded with`);
    session.graphs.set(graphId, now);
    return recorded === undefined;
  }
}

function describe(bound: BoundValues): string {
  const lines = [...bound].map(([name, { address, shape, isCuda, byteLength }]) => {
    const content = isCuda ? "" : Buffer.from(koffi.view(address, byteLength)).toString("hex");
    return `${name} ${address} [${shape}] ${content}`;
  });
  return lines.toSorted().join("\n");
}
