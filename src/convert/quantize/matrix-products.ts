// Products of float32 matrices for the arithmetic of quantization, by ONNX Runtime's Gemm: a hundred times faster than loops in
// JavaScript. One thread and one order of additions: same numbers in, same bits out on the same kind of processor.

import { assert } from "../../core/errors.ts";
import { memoryOf } from "../../runtime/device.ts";
import { Runtime } from "../../runtime/runtime.ts";
import type { Binding, Session } from "../../runtime/session.ts";
import { Graph } from "../onnx/graph.ts";
import { encodeModel } from "../onnx/model-file.ts";

/** Most that matrices take at a time: 55 MB at the 28B's sizes, 0.6 GB at the 424B's. Pages that are never touched cost nothing. */
const workspaceBytes = 2 ** 30;
const alignmentBytes = 64;

/** [rows, columns] in the workspace, row by row. */
export class Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array<ArrayBuffer>;

  constructor(workspace: ArrayBuffer, byteOffset: number, rows: number, columns: number) {
    this.rows = rows;
    this.columns = columns;
    this.values = new Float32Array(workspace, byteOffset, rows * columns);
  }

  /** `rows` × `columns` of the same memory, from this matrix's element `offset` on. */
  part(offset: number, rows: number, columns: number): Matrix {
    return new Matrix(this.values.buffer, this.values.byteOffset + 4 * offset, rows, columns);
  }

  rowRange(start: number, count: number): Matrix {
    return this.part(start * this.columns, count, this.columns);
  }
}

/** Which operand is read as its transpose. */
type ProductForm = "a·b" | "aᵀ·b" | "a·bᵀ";

type Product = { readonly session: Session; readonly binding: Binding };

export class MatrixProducts {
  readonly #runtime = Runtime.open("cpu");
  readonly #products = new Map<string, Product>();
  /** One piece for all, used as a stack; it is JavaScript's, so that it ends with its thread, however that ends. */
  readonly #workspace = memoryOf(new ArrayBuffer(workspaceBytes));
  #usedBytes = 0;

  /** Matrices that `work` allocates live until it returns. */
  scope<Result>(work: () => Result): Result {
    const before = this.#usedBytes;
    try {
      return work();
    } finally {
      this.#usedBytes = before;
    }
  }

  /** Content is undefined. Only inside `scope`. */
  allocate(rows: number, columns: number): Matrix {
    const start = this.#usedBytes;
    this.#usedBytes += Math.ceil((4 * rows * columns) / alignmentBytes) * alignmentBytes;
    assert(this.#usedBytes <= workspaceBytes, `a matrix of ${rows} × ${columns} does not fit beside ${start} bytes of others`);
    return new Matrix(this.#workspace.bytes, start, rows, columns);
  }

  /** values [rows, columns] in the workspace. Only inside `scope`. */
  copy(values: Float32Array, rows: number, columns: number): Matrix {
    const matrix = this.allocate(rows, columns);
    matrix.values.set(values);
    return matrix;
  }

  /** out = the product, + `addend` when there is one, which may be `out` itself. */
  multiply(form: ProductForm, a: Matrix, b: Matrix, out: Matrix, addend?: Matrix): void {
    const [m, k] = form === "aᵀ·b" ? [a.columns, a.rows] : [a.rows, a.columns];
    const [inner, n] = form === "a·bᵀ" ? [b.columns, b.rows] : [b.rows, b.columns];
    assert(
      k === inner && m === out.rows && n === out.columns,
      `product of ${m} × ${k} and ${inner} × ${n} into ${out.rows} × ${out.columns}`,
    );
    const { binding } = this.#product(form, addend !== undefined);
    const operands = { a, b, ...(addend && { addend }), out };
    const tensors = Object.entries(operands).map(([name, { rows, columns, values }]) => {
      const tensor = this.#runtime.createTensor(this.#workspace, "float32", [rows, columns], values.byteOffset);
      if (name === "out") binding.output(name, tensor);
      else binding.input(name, tensor);
      return tensor;
    });
    binding.run();
    for (const tensor of tensors) this.#runtime.releaseTensor(tensor);
  }

  dispose(): void {
    for (const { binding, session } of this.#products.values()) {
      binding.dispose();
      session.dispose();
    }
    this.#runtime.dispose();
  }

  #product(form: ProductForm, hasAddend: boolean): Product {
    const key = `${form} ${hasAddend}`;
    const known = this.#products.get(key);
    if (known) return known;
    const session = this.#runtime.openSession(encodeModel(productGraph(form, hasAddend), "", "product"), { threadCount: 1 });
    const product = { session, binding: session.createBinding() };
    this.#products.set(key, product);
    return product;
  }
}

function productGraph(form: ProductForm, hasAddend: boolean): Graph {
  const g = new Graph();
  const operand = (name: string) => g.input(name, "float32", [`${name}_rows`, `${name}_columns`]);
  const inputs = [operand("a"), operand("b"), ...(hasAddend ? [operand("addend")] : [])];
  const attributes = { transA: form === "aᵀ·b" ? 1 : 0, transB: form === "a·bᵀ" ? 1 : 0 };
  const [product] = g.node("Gemm", inputs, [{ dtype: "float32", shape: ["rows", "columns"] }], { attributes });
  g.output("out", product!);
  return g;
}
