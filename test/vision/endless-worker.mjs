// Stands for a decoder that never ends: a file of one zero byte keeps its thread busy for ever, any other is loaded at once.

export default function work({ source }) {
  while (source.length === 1 && source[0] === 0);
  return { type: "done", value: { hash: Buffer.from(source).toString() } };
}
