// Markdown for scripts without spaces between words. CommonMark's rules assume spaces: in Chinese, `**注意：**请` would keep its asterisks, and a
// bare address would swallow the rest of its sentence.

import { Hooks, Tokenizer, type Tokens } from "marked";

/** Letters and punctuation of Chinese, Japanese and Korean, full-width forms included. */
const cjk = String.raw`\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Hang}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6`;
const cjkMark = String.raw`(?=[${cjk}])[\p{P}\p{S}]`;
const mark = String.raw`(?![*~_])[\p{P}\p{S}]`;

/**
 * Marks beside a run of `*` or `~` that do not tell whether it opens or closes: those of CJK, and any others if there is CJK on the other side of the
 * run. Source: the "CJK-friendly amendments" to CommonMark (tats-u/markdown-cjk-friendly).
 */
const silentMarks = new RegExp(
  [
    String.raw`(?<=[*~])${cjkMark}`,
    String.raw`${cjkMark}(?=[*~])`,
    String.raw`${mark}(?=(?:\*+|~+)[${cjk}])`,
    String.raw`${mark}(?<=[${cjk}](?:\*+|~+).)`, // not the run first, which would be searched from each of its characters
  ].join("|"),
  "gu",
);

/** Takes the place of a silent mark, as letters tell nothing either. */
const letter = "字";

class CjkHooks extends Hooks {
  override emStrongMask(text: string): string {
    return text.replace(silentMarks, (silent) => letter.repeat(silent.length));
  }
}

/** Where the end of a bare address is seen only by its being ASCII: `https://a.org查看`. */
const hostBeforeWord = new RegExp(String.raw`^(?:(?:https?|ftp)://|www\.)[\w.-]*(?:\.[a-z]{2,}|:\d+)(?=[${cjk}])`, "iu");
const bareAddress = /^(?:(?:https?|ftp):\/\/|www\.)/i;
const afterAddress = new RegExp(String.raw`[\s<“”‘’…]|${cjkMark}`, "u");

class CjkTokenizer extends Tokenizer {
  override emStrong(text: string, masked: string, before?: string): Tokens.Em | Tokens.Strong | undefined {
    return super.emStrong(text, masked, startsSilently(text, masked) ? "" : before);
  }

  override del(text: string, masked: string, before?: string): Tokens.Del | undefined {
    return super.del(text, masked, startsSilently(text, masked) ? "" : before);
  }

  override url(text: string): Tokens.Link | undefined {
    if (!bareAddress.test(text)) return super.url(text);
    const end = text.search(afterAddress);
    return super.url(hostBeforeWord.exec(text)?.[0] ?? (end < 0 ? text : text.slice(0, end)));
  }
}

/** Whether a silent mark follows the run at the start of `text`, which is the end of what was masked. marked looks for it in `text` itself. */
function startsSilently(text: string, masked: string): boolean {
  const run = /^(?:\*+|~+)/.exec(text)?.[0];
  return run !== undefined && masked[masked.length - text.length + run.length] === letter;
}

/** Options for marked's lexer; of one text only, since marked keeps its state there. */
export const cjkOptions = () => ({ hooks: new CjkHooks(), tokenizer: new CjkTokenizer() });
