// Runs an automaton with a stack. A state is the set of all (node, stack) pairs that the text so far can lead to. States and transitions are created
// when first needed and cached, so that recurring ones (the inside of a string) cost a look-up.

import { RequestError } from "../core/errors.ts";
import { type Automaton, type Call, controlSymbolStart, type CountedRepeat } from "./automaton.ts";

/** A stack frame: a called rule or an open repeat. Equal stacks are the same object. */
type Frame = {
  readonly id: number;
  readonly parent: Frame | undefined;
  readonly returnTo: number;
  readonly repeat: CountedRepeat | undefined;
  /** Completed repeats. */
  readonly count: number;
  /** Equal for frames that no single token can distinguish. */
  readonly lookId: number;
  /** Most frames never have any. */
  children: Map<number, Frame> | undefined;
};

type Thread = { readonly node: number; readonly frame: Frame };

export type State = {
  /** The pairs that can read a symbol. */
  readonly threads: readonly Thread[];
  /** Whether the answer may end here. */
  readonly canEnd: boolean;
  /** By symbol class; undefined: not computed yet. */
  readonly next: (State | undefined)[];
  /** uint32 [⌈vocab / 32⌉], once computed. */
  mask: Uint32Array | undefined;
};

/** Limit of the work between two tokens. Ordinary schemas need less than a hundredth of it. */
const maxWork = 500_000;
const maxThreads = 4_000;
/** Estimates; only the order of magnitude matters. */
const bytesPerThread = 64;
const bytesPerState = 512;

export class StateMachine {
  readonly #automaton: Automaton;
  readonly #returnsAtOnce: Uint8Array; // [node]
  readonly #maxCacheBytes: number;
  /** Class of each symbol: symbols of one class are the same to every edge. */
  readonly symbolClasses: Uint16Array; // [256 + control tokens]
  readonly #classCount: number;
  readonly #noSteps: readonly undefined[]; // [classes]
  readonly #firstSymbols: readonly number[]; // [classes]
  readonly #maxTokenCharacters: number;
  #states = new Map<string, State>();
  #masks = new Map<string, Uint32Array>(); // by lookKey
  #cacheBytes = 0;
  #nextFrameId = 0;
  #lookIds = new Map<string, number>();
  #work = 0;
  #start: State;
  /** The state of a text that the grammar does not allow. */
  readonly dead: State;

  /** `maxTokenCharacters`: no token has more characters, begun ones included. */
  constructor(automaton: Automaton, controlCount: number, maxTokenCharacters: number, maxCacheBytes: number) {
    this.#automaton = automaton;
    const classes = classifySymbols(automaton, controlSymbolStart + controlCount);
    this.symbolClasses = classes.bySymbol;
    this.#classCount = classes.firstSymbols.length;
    this.#firstSymbols = classes.firstSymbols;
    this.#noSteps = classes.firstSymbols.map(() => undefined);
    this.#returnsAtOnce = findReturnsAtOnce(automaton);
    this.#maxTokenCharacters = maxTokenCharacters;
    this.#maxCacheBytes = maxCacheBytes;
    this.dead = { threads: [], canEnd: false, next: [], mask: undefined };
    this.dead.next.push(...Array.from({ length: this.#classCount }, () => this.dead));
    this.#start = this.#makeStart();
  }

  get start(): State {
    return this.#start;
  }

  /** Estimated bytes of the cached states. */
  get cacheBytes(): number {
    return this.#cacheBytes;
  }

  /** The mask that was kept for this state or one that looks like it. */
  knownMask(state: State): Uint32Array | undefined {
    return (state.mask ??= this.#masks.get(lookKey(state)));
  }

  keepMask(state: State, mask: Uint32Array): void {
    state.mask = mask;
    this.#masks.set(lookKey(state), mask);
    this.#cacheBytes += mask.byteLength;
  }

  /** To be called before a token is read or a mask computed. Resets the work budget and drops the cache if it has grown too large. */
  beginToken(): void {
    this.#work = 0;
    if (this.#cacheBytes <= this.#maxCacheBytes) return;
    this.#states = new Map();
    this.#masks = new Map();
    this.#lookIds = new Map();
    this.#cacheBytes = 0;
    this.#start = this.#makeStart();
  }

  /** The state after one more symbol of a class. Throws RequestError if the grammar needs too much work. */
  step(state: State, symbolClass: number): State {
    const known = state.next[symbolClass];
    if (known) return known;
    const entered: Thread[] = [];
    const symbol = this.#firstSymbols[symbolClass]!;
    for (const { node, frame } of state.threads) {
      for (const { first, last, target } of this.#automaton.nodes[node]!.edges) {
        if (first <= symbol && symbol <= last) entered.push({ node: target, frame });
      }
    }
    const next = entered.length === 0 ? this.dead : this.#close(entered);
    state.next[symbolClass] = next;
    return next;
  }

  #makeStart(): State {
    const id = this.#nextFrameId++;
    const bottom = { id, parent: undefined, returnTo: -1, repeat: undefined, count: 0, lookId: id, children: undefined };
    return this.#close([{ node: this.#automaton.start, frame: bottom }]);
  }

  /** Follows all edges that read nothing. */
  #close(pending: Thread[]): State {
    const { nodes } = this.#automaton;
    const seen = new Set<number>();
    const threads: Thread[] = [];
    let canEnd = false;
    for (let thread = pending.pop(); thread; thread = pending.pop()) {
      const { node, frame } = thread;
      const key = frame.id * nodes.length + node;
      if (seen.has(key)) continue;
      seen.add(key);
      const { edges, jumps, calls, repeats, endsRepeat, isEnd } = nodes[node]!;
      if (edges.length > 0) threads.push(thread);
      for (const target of jumps) pending.push({ node: target, frame });
      for (const call of calls) pending.push({ node: call.start, frame: this.#calling(call, frame) });
      for (const repeat of repeats) pending.push({ node: repeat.start, frame: this.#push(frame, -1, repeat, 0) });
      if (endsRepeat) this.#endRepeat(endsRepeat, frame, pending);
      if (isEnd && frame.parent) pending.push({ node: frame.returnTo, frame: frame.parent });
      canEnd ||= isEnd && !frame.parent;
    }
    this.#work += seen.size;
    if (this.#work > maxWork || threads.length > maxThreads) {
      throw new RequestError("the grammar is too ambiguous: too many ways to read the same text; simplify its nested repetitions");
    }
    return this.#intern(threads, canEnd);
  }

  #calling({ returnTo }: Call, frame: Frame): Frame {
    return this.#returnsAtOnce[returnTo] ? frame : this.#push(frame, returnTo, undefined, 0);
  }

  #endRepeat(repeat: CountedRepeat, frame: Frame, pending: Thread[]): void {
    // An unbounded repeat stops counting at its minimum, so that fewer stacks differ.
    const count = repeat.max === Infinity ? Math.min(frame.count + 1, repeat.min) : frame.count + 1;
    if (count >= repeat.min) pending.push({ node: repeat.exit, frame: frame.parent! });
    if (count < repeat.max) pending.push({ node: repeat.start, frame: this.#push(frame.parent!, -1, repeat, count) });
  }

  #push(parent: Frame, returnTo: number, repeat: CountedRepeat | undefined, count: number): Frame {
    const { length } = this.#automaton.nodes;
    const key = repeat ? repeat.start + count * length : -1 - returnTo;
    const siblings = (parent.children ??= new Map<number, Frame>());
    let frame = siblings.get(key);
    if (!frame) {
      const id = this.#nextFrameId++;
      frame = { id, parent, returnTo, repeat, count, lookId: this.#lookId(id, parent, key, repeat, count), children: undefined };
      siblings.set(key, frame);
      this.#cacheBytes += bytesPerState;
    }
    return frame;
  }

  /** Frames with equivalent parents are equivalent, unless a single token could bring their counts to a bound. */
  #lookId(id: number, parent: Frame, key: number, repeat: CountedRepeat | undefined, count: number): number {
    let place = key;
    if (repeat) {
      const [least, most] = [count + this.#maxTokenCharacters < repeat.min, repeat.max - count > this.#maxTokenCharacters];
      if (least || (count >= repeat.min && most)) place = repeat.start + (least ? 0.25 : 0.5);
    }
    const lookKey = `${parent.lookId}/${place}`;
    const known = this.#lookIds.get(lookKey);
    if (known !== undefined) return known;
    this.#lookIds.set(lookKey, id);
    return id;
  }

  #intern(threads: Thread[], canEnd: boolean): State {
    threads.sort((a, b) => a.node - b.node || a.frame.id - b.frame.id);
    const key = threads.reduce((text, { node, frame }) => `${text}${node}.${frame.id},`, canEnd ? "!" : "");
    let state = this.#states.get(key);
    if (!state) {
      state = { threads, canEnd, next: this.#noSteps.slice(), mask: undefined };
      this.#states.set(key, state);
      this.#cacheBytes += bytesPerState + this.#classCount * 8 + threads.length * bytesPerThread;
    }
    return state;
  }
}

/** How many rules and repeats are open. */
export function depthOf({ threads }: State): number {
  let depth = 0;
  for (let frame = threads[0]?.frame.parent; frame; frame = frame.parent) depth++;
  return depth;
}

/** Equal only for states that allow the same tokens, as far as this is cheap to see. */
function lookKey({ threads, canEnd }: State): string {
  const looks = threads.map(({ node, frame }) => `${node}.${frame.lookId}`).toSorted();
  return `${canEnd ? "!" : ""}${[...new Set(looks)].join(",")}`;
}

/** Divides the symbols into classes, wherever an edge begins or ends. */
function classifySymbols({ nodes }: Automaton, symbolCount: number): { bySymbol: Uint16Array; firstSymbols: number[] } {
  const begins = new Uint8Array(symbolCount + 1);
  begins[0] = 1;
  for (const { edges } of nodes) {
    for (const { first, last } of edges) begins[first] = begins[last + 1] = 1;
  }
  const bySymbol = new Uint16Array(symbolCount);
  const firstSymbols: number[] = [];
  for (let symbol = 0; symbol < symbolCount; symbol++) {
    if (begins[symbol]) firstSymbols.push(symbol);
    bySymbol[symbol] = firstSymbols.length - 1;
  }
  return { bySymbol, firstSymbols };
}

/** Nodes that only return. Calls that continue there need no frame, so that tail recursion is a loop. */
function findReturnsAtOnce({ nodes }: Automaton): Uint8Array {
  const returns = new Uint8Array(nodes.length);
  const onlyJumps = nodes.map(
    ({ edges, calls, repeats, endsRepeat, jumps }) =>
      edges.length + calls.length + repeats.length === 0 && !endsRepeat && jumps.length === 1,
  );
  for (let i = 0; i < nodes.length; i++) {
    let at = i;
    for (let hops = 0; hops < nodes.length && onlyJumps[at]; hops++) at = nodes[at]!.jumps[0]!;
    returns[i] = nodes[at]!.isEnd ? 1 : 0; // nothing leads out of an end
  }
  return returns;
}
