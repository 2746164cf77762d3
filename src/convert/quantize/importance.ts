// How strong the inputs of an expert's matrices will be, told from weights alone: no text or picture is run through the model.

/** The least importance, as a share of the mean: no column is given up on what is only an estimate. */
const floorShare = 0.01;

/**
 * E[x²] of each column of gate and up. Their input is x = γ ⊙ n with n of unit root mean square (RMSNorm), so that E[x²] is about γ².
 * norm: γ [hidden]
 */
export function normedImportance(norm: Float32Array): Float64Array {
  return withFloor(Float64Array.from(norm, (gamma) => gamma * gamma));
}

/**
 * E[h²] of each column of down, up to a factor. Its input is h = silu(g·x) · (u·x); with independent x, E[(g·x)²] = Σ g²·E[x²], the same for
 * u, and silu grows like its argument. gate, up: [rows, hidden]; input: E[x²] [hidden]; width: columns of down, those beyond `rows`
 * are padding.
 */
export function gatedImportance(gate: Float32Array, up: Float32Array, input: Float64Array, width: number): Float64Array {
  const columns = input.length;
  const importance = new Float64Array(width);
  for (let start = 0, row = 0; start < gate.length; start += columns, row++) {
    let gateSquare = 0;
    let upSquare = 0;
    for (let i = 0; i < columns; i++) {
      const g = gate[start + i]!;
      const u = up[start + i]!;
      gateSquare += g * g * input[i]!;
      upSquare += u * u * input[i]!;
    }
    importance[row] = gateSquare * upSquare;
  }
  return withFloor(importance);
}

function withFloor(importance: Float64Array): Float64Array {
  const floor = (floorShare * importance.reduce((sum, value) => sum + value, 0)) / importance.length;
  return importance.map((value) => value + floor);
}
