// Inputs as layers see them: a few directions carry most of what varies. And a source of numbers that are the same in every run.

type Random = () => number;

/** Uniform in [0, 1): a linear congruential generator (Numerical Recipes' constants), its high bits. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function normals(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** [tokens, columns]; four directions, and noise of a third of their strength. */
export function correlatedInputs(random: Random, tokenCount: number, columns: number): Float32Array {
  const directions = normals(random, 4 * columns);
  const inputs = normals(random, tokenCount * columns);
  for (let token = 0; token < tokenCount; token++) {
    const strengths = normals(random, 4);
    for (let c = 0; c < columns; c++) {
      const shared = strengths.reduce((sum, strength, i) => sum + strength * directions[i * columns + c]!, 0);
      inputs[token * columns + c] = shared / 2 + inputs[token * columns + c]! / 3;
    }
  }
  return inputs;
}

/** xᵀx of inputs [tokens, columns], padded with zeros to `width`: [width, width] */
export function secondMoments(inputs: Float32Array, columns: number, width: number): Float64Array {
  const moments = new Float64Array(width * width);
  for (let at = 0; at < inputs.length; at += columns) {
    for (let i = 0; i < columns; i++) for (let j = 0; j < columns; j++) moments[i * width + j]! += inputs[at + i]! * inputs[at + j]!;
  }
  return moments;
}

/** x [tokens, columns] · wᵀ of w [rows, columns] */
export function project(x: Float32Array, w: Float32Array, columns: number): Float32Array {
  const rows = w.length / columns;
  return Float32Array.from({ length: (x.length / columns) * rows }, (_, i) => {
    const [token, row] = [Math.floor(i / rows), i % rows];
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += x[token * columns + c]! * w[row * columns + c]!;
    return sum;
  });
}
