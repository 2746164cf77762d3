// Stands for a decoder whose thread breaks, in the way that the file says; any other file is loaded at once.

const breaks = {
  "ends in work": () => process.exit(9),
  "throws in work": () => {
    throw new Error("injected");
  },
  "throws meanwhile": () => {
    setImmediate(() => {
      throw new Error("injected");
    });
    return new Promise(() => {});
  },
};

export default function work({ source }) {
  const text = Buffer.from(source).toString();
  return (breaks[text] ?? (() => ({ type: "done", value: { hash: text } })))();
}
