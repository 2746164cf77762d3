// Renders the model's Markdown. HTML is never parsed: tags stay text, links lead only to web and mail addresses, pictures are not loaded.

import type { Token, Tokens } from "marked";
import type { ComponentChildren, VNode } from "preact";
import { useRef } from "preact/hooks";
import { CopyButton } from "./buttons.tsx";
import { Formula } from "./formula.tsx";
import { languageOf } from "./language-of.ts";
import { Lines } from "./lines.tsx";
import { memo } from "./memo.ts";
import { type PageToken, type ParsedMarkdown, parseMarkdown, safeAddress, withoutEntities } from "./parse-markdown.ts";

type MarkdownProps = { readonly text: string; /** More text may follow. */ readonly isGrowing: boolean };

export function Markdown({ text, isGrowing }: MarkdownProps) {
  const parsed = useRef<ParsedMarkdown>(undefined);
  parsed.current = parseMarkdown(text, isGrowing ? parsed.current : undefined);
  return drawMarkdown(parsed.current);
}

/** Memoized, as are items of lists and rows of tables, so that a growing text renders again only its end. */
const BlockOnce = memo(Block);

export function drawMarkdown({ text, blocks }: ParsedMarkdown): VNode {
  const lang = languageOf(text);
  if (!blocks)
    return (
      <div class="markdown plain" lang={lang}>
        {text}
      </div>
    );
  return (
    <div class="markdown" lang={lang}>
      {blocks.map((token, index) => (
        <BlockOnce key={index} token={token as PageToken} />
      ))}
    </div>
  );
}

function blocks(tokens: readonly Token[]): ComponentChildren[] {
  return tokens.map((token, index) => <Block key={index} token={token as PageToken} />);
}

function Block({ token }: { readonly token: PageToken }): ComponentChildren {
  switch (token.type) {
    case "heading":
      return heading(token);
    case "paragraph":
      return <p>{inline(token.tokens)}</p>;
    case "code":
      return <CodeBlock text={token.text} language={/^\S+/.exec(token.lang ?? "")?.[0]} />;
    case "blockquote":
      return <blockquote dir="auto">{blocks(token.tokens)}</blockquote>;
    case "list":
      return list(token);
    case "table":
      return table(token);
    case "hr":
      return <hr />;
    case "formula":
      return <Formula token={token} />;
    case "space":
    case "def":
      return null;
    default:
      return inline([token]);
  }
}

/** The page has its own h1 and h2. */
function heading({ depth, tokens }: Tokens.Heading): VNode {
  const Level = (["h3", "h4", "h5", "h6"] as const)[Math.min(depth, 4) - 1]!;
  return <Level>{inline(tokens)}</Level>;
}

export function CodeBlock({ text, language }: { readonly text: string; readonly language?: string | undefined }) {
  return (
    <div class="code-block">
      <div class="code-head">
        <span>{language ?? "text"}</span>
        <CopyButton text={text} label="Copy code" />
      </div>
      {/* Long lines scroll; focusable, so that the keyboard can scroll them. */}
      <pre tabIndex={0}>
        <code>
          <Lines text={text} />
        </code>
      </pre>
    </div>
  );
}

function list({ ordered, start, items, loose }: Tokens.List): VNode {
  const entries = items.map((item, index) => <ItemOnce key={index} item={item} isLoose={loose} />);
  return ordered ? (
    <ol dir="auto" start={start === "" ? 1 : start}>
      {entries}
    </ol>
  ) : (
    <ul dir="auto">{entries}</ul>
  );
}

const ItemOnce = memo(Item);

function Item({ item: { task, checked, tokens }, isLoose }: { readonly item: Tokens.ListItem; readonly isLoose: boolean }) {
  return (
    <li class={task ? "task" : undefined}>
      {task && <input type="checkbox" checked={checked === true} disabled aria-label={checked ? "done" : "to do"} />}
      {isLoose ? blocks(tokens) : tokens.map((token, at) => <Tight key={at} token={token as PageToken} />)}
    </li>
  );
}

function Tight({ token }: { readonly token: PageToken }): ComponentChildren {
  return token.type === "paragraph" ? inline(token.tokens) : <Block token={token} />;
}

function table({ header, rows }: Tokens.Table): VNode {
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label="Table">
      <table dir="auto">
        <thead>
          <Row cells={header} Cell="th" />
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <RowOnce key={index} cells={row} Cell="td" />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const RowOnce = memo(Row);

function Row({ cells, Cell }: { readonly cells: readonly Tokens.TableCell[]; readonly Cell: "th" | "td" }) {
  return (
    <tr>
      {cells.map(({ tokens, align }, index) => (
        <Cell key={index} class={align ? `align-${align}` : undefined}>
          {inline(tokens)}
        </Cell>
      ))}
    </tr>
  );
}

function inline(tokens: readonly Token[] | undefined): ComponentChildren[] {
  return (tokens ?? []).map((token, index) => <Inline key={index} token={token as PageToken} />);
}

function Inline({ token }: { readonly token: PageToken }): ComponentChildren {
  switch (token.type) {
    case "strong":
      return <strong>{inline(token.tokens)}</strong>;
    case "em":
      return <em>{inline(token.tokens)}</em>;
    case "del":
      return <del>{inline(token.tokens)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "link":
      return <Link token={token} />;
    case "image":
      return <>{`[picture: ${withoutEntities(token.text)}]`}</>;
    case "text":
      return token.tokens ? inline(token.tokens) : withoutEntities(token.text);
    case "html":
      return token.raw;
    case "formula":
      return <Formula token={token} />;
    case "checkbox":
      return null; // drawn with its item
    default:
      return withoutEntities("text" in token ? token.text : token.raw);
  }
}

function Link({ token }: { readonly token: Tokens.Link }): ComponentChildren {
  const address = safeAddress(token.href);
  if (address === undefined) return inline(token.tokens);
  return (
    <a href={address} target="_blank" rel="noopener noreferrer nofollow">
      {inline(token.tokens)}
    </a>
  );
}
