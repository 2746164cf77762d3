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
  "throws afterwards": () => {
    setTimeout(() => {
      throw new Error("injected");
    }, 20);
    return loaded("throws afterwards");
  },
};

const loaded = (hash) => ({ type: "done", value: { hash } });

export default function work({ source }) {
  const text = Buffer.from(source).toString();
  return (breaks[text] ?? (() => loaded(text)))();
}
