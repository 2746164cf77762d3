// Keys that belong to an input method.

/** While an input method composes, Enter chooses a word and Esc gives one up. Safari ends the composition first, and leaves only the code. */
export function isComposing({ isComposing, keyCode }: KeyboardEvent): boolean {
  return isComposing || keyCode === 229;
}
