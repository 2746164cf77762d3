// Stands for a decoder that changes what it reads, so that tests see who shares a file's bytes with whom.

export default function work({ source }) {
  source[0]++;
  return { type: "done", value: { hash: String(source[0]) } };
}
