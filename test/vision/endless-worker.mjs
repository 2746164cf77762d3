// Stands for a decoder that never ends: a file of one zero byte keeps its thread busy for ever, any other is loaded at once.

export default function work({ bytes }) {
  while (bytes.length === 1 && bytes[0] === 0);
  return { type: "loaded", image: { hash: Buffer.from(bytes).toString() } };
}
