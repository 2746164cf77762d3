// How the page of the API's document looks; the colours are those of the chat page.

export const docsStyle = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f7f8fb, #0f1115);
  --surface: light-dark(#ffffff, #171a21);
  --sunken: light-dark(#eef0f5, #0b0d11);
  --line: light-dark(#dfe3eb, #2a303b);
  --text: light-dark(#171a21, #e7eaf0);
  --muted: light-dark(#566072, #9ea8b9);
  --accent: light-dark(#3450f0, #8fa1ff);
  --accent-soft: light-dark(#e9edff, #232b4d);
  --danger: light-dark(#b3261e, #ff8f87);
  --good: light-dark(#19703f, #6fd69b);
  --mono: ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif;
  color: var(--text);
  background: var(--page);
  scroll-padding-top: 16px;
}
* { box-sizing: border-box; }
body { margin: 0; display: grid; grid-template-columns: 270px minmax(0, 1fr); }
a { color: var(--accent); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
code, pre { font-family: var(--mono); font-size: 0.9em; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 24px 12px 24px 20px; border-right: 1px solid var(--line); }
nav h2 { margin: 20px 8px 4px; font-size: 12px; color: var(--muted); text-transform: uppercase; letter-spacing: 0.06em; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav li a { display: block; padding: 3px 8px; border-radius: 6px; color: inherit; text-decoration: none; font-size: 14px; overflow-wrap: anywhere; }
nav li a:hover { background: var(--accent-soft); }
.brand { margin: 0 8px; font-size: 17px; font-weight: 650; }
main { max-width: 940px; padding: 32px 40px 96px; }
h1 { margin: 0 0 8px; font-size: 28px; }
h2.group { margin: 48px 0 12px; font-size: 20px; }
article { margin: 0 0 20px; padding: 20px 24px; background: var(--surface); border: 1px solid var(--line); border-radius: 12px; }
article h3 { display: flex; flex-wrap: wrap; align-items: baseline; gap: 10px; margin: 0; font: 600 16px/1.4 var(--mono); overflow-wrap: anywhere; }
article h4 { margin: 18px 0 6px; font-size: 13px; color: var(--muted); }
article p { margin: 6px 0; }
.method { padding: 1px 8px; border-radius: 6px; font-size: 12px; background: var(--accent-soft); color: var(--accent); }
.method.get { color: var(--good); background: color-mix(in srgb, var(--good) 14%, transparent); }
.method.delete { color: var(--danger); background: color-mix(in srgb, var(--danger) 14%, transparent); }
.summary { font-size: 16px; }
.key { color: var(--muted); font-size: 13px; }
.fields { margin: 0; padding: 0; list-style: none; }
.fields > li { padding: 8px 0; border-top: 1px solid var(--line); }
.fields p { margin: 2px 0 0; color: var(--muted); }
.fields .fields { margin: 6px 0 2px; padding-left: 16px; border-left: 2px solid var(--line); }
.name { font-weight: 650; }
.type { color: var(--muted); font-size: 13px; }
.required { padding: 0 6px; border-radius: 5px; font-size: 12px; color: var(--danger); background: color-mix(in srgb, var(--danger) 12%, transparent); }
.alternative { margin: 12px 0 4px; font-weight: 550; }
details > summary { width: fit-content; margin-top: 4px; cursor: pointer; color: var(--accent); font-size: 13px; }
pre { margin: 0; padding: 12px 14px; white-space: pre-wrap; overflow-wrap: anywhere; background: var(--sunken); border-radius: 8px; }
.statuses { margin: 0; padding: 0; list-style: none; }
.statuses li { padding: 3px 0; }
.statuses > li > code:first-child { display: inline-block; min-width: 42px; font-weight: 650; }
@media (max-width: 820px) {
  body { display: block; }
  nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); }
  main { padding: 24px 16px 64px; }
  article { padding: 16px; }
}
@media print { nav { display: none; } body { display: block; } }
`;
