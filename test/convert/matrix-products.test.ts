import { afterAll, describe, expect, test } from "vitest";
import { MatrixProducts } from "../../src/convert/quantize/matrix-products.ts";

const products = new MatrixProducts();
afterAll(() => products.dispose());

describe("a product", () => {
  test.each([
    ["a·b", [1, 2, 3, 4, 5, 6], 2, 3],
    ["aᵀ·b", [1, 4, 2, 5, 3, 6], 3, 2],
  ] as const)("%s of small whole numbers is exact", (form, a, rows, columns) => {
    const out = products.scope(() => {
      const result = products.allocate(2, 2);
      const left = products.copy(Float32Array.from(a), rows, columns);
      products.multiply(form, left, products.copy(Float32Array.of(1, 0, 0, 1, 10, 100), 3, 2), result);
      return [...result.values];
    });

    expect(out).toEqual([31, 302, 64, 605]);
  });

  test("with the second operand transposed takes its rows", () => {
    products.scope(() => {
      const out = products.allocate(1, 2);
      products.multiply("a·bᵀ", products.copy(Float32Array.of(1, 2), 1, 2), products.copy(Float32Array.of(3, 4, 5, 6), 2, 2), out);

      expect([...out.values]).toEqual([11, 17]);
    });
  });

  test("can be added to what its result holds already", () => {
    products.scope(() => {
      const sum = products.copy(Float32Array.of(1, 1, 1, 1), 2, 2);
      const a = products.copy(Float32Array.of(1, 2), 1, 2);
      products.multiply("aᵀ·b", a, a, sum, sum);
      products.multiply("aᵀ·b", a, a, sum, sum);

      expect([...sum.values]).toEqual([3, 5, 5, 9]);
    });
  });

  test("of parts of matrices reads and writes only these parts", () => {
    products.scope(() => {
      const matrix = products.copy(Float32Array.of(1, 2, 3, 4, 5, 6), 3, 2);
      products.multiply("a·b", matrix.rowRange(1, 1).part(0, 1, 1), matrix.rowRange(2, 1), matrix.rowRange(0, 1));

      expect([...matrix.values]).toEqual([15, 18, 3, 4, 5, 6]);
    });
  });

  test("of matrices that do not fit is refused", () => {
    products.scope(() => {
      const a = products.allocate(2, 3);

      expect(() => products.multiply("a·b", a, a, a)).toThrow("product of 2 × 3 and 2 × 3 into 2 × 3");
    });
  });
});

test("what a scope allocates is used again after it, even when it fails, and what encloses it goes on", () => {
  products.scope(() => {
    const kept = products.copy(Float32Array.of(7), 1, 1);
    let inside = -1;
    expect(() =>
      products.scope(() => {
        inside = products.allocate(10, 10).values.byteOffset;
        throw new Error("given up");
      }),
    ).toThrow("given up");
    const out = products.allocate(1, 1);
    products.multiply("a·b", kept, kept, out);

    expect(out.values.byteOffset).toBe(inside);
    expect([kept.values[0], out.values[0]]).toEqual([7, 49]);
  });
});

test("more than the workspace is refused in words", () => {
  products.scope(() => {
    expect(() => products.allocate(2 ** 14, 2 ** 14 + 1)).toThrow("a matrix of 16384 × 16385 does not fit beside 0 bytes of others");
  });
});
