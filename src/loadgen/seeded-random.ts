// Reproducible random numbers: the same load can be sent again, or to two servers.

/** Each pair (seed, stream) has its own sequence, so request 7 is the same however many requests there are. */
export class SeededRandom {
  #state: number;

  constructor(seed: number, stream = 0) {
    this.#state = mix(mix(seed | 0) ^ Math.imul(stream + 1, 0x9e3779b1));
  }

  /** A number in [0, 1). */
  unit(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    return (mix(this.#state) >>> 0) / 2 ** 32;
  }

  /** A whole number below `count`. */
  below(count: number): number {
    return Math.floor(this.unit() * count);
  }

  /** An exponentially distributed number of mean 1: the gap between two events of a Poisson process of rate 1. */
  exponential(): number {
    return -Math.log(1 - this.unit());
  }
}

/** A 32-bit finalizer (xor-shifts and multiplications): changing one bit of the input changes half of the output. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
