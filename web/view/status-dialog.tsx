// How the server is doing: what it runs on, and its figures over the last minutes. It asks only while it is shown.

import { useEffect, useRef, useState } from "preact/hooks";
import { type Problem, ProblemError } from "../chat/problem.ts";
import { type Connection, type Model, readMetrics, readServerInfo, type ServerInfo } from "../chat/server.ts";
import { addSnapshot, levelOf, meanMsOf, rateOf, readSnapshot, type Snapshot } from "../chat/server-history.ts";
import { IconButton } from "./buttons.tsx";
import { Chart } from "./chart.tsx";
import { closeOutside } from "./side-panel.tsx";

const intervalMs = 2000;

type StatusDialogProps = { readonly model: Model | undefined; readonly connection: Connection; readonly onClose: () => void };

export function StatusDialog({ model, connection, onClose }: StatusDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const { info, history, problem } = useStatus(connection);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="sheet" aria-label="Server status" onClose={onClose} onClick={(event) => closeOutside(event, onClose)}>
      <div class="sheet-inside status">
        <header class="panel-head">
          <h2>Server status</h2>
          <IconButton icon="close" label="Close" onClick={onClose} />
        </header>
        {problem && (
          <p class="note" role="alert">
            <strong>{problem.title}.</strong> {problem.detail}
          </p>
        )}
        <Facts model={model} info={info} />
        {history.length > 0 && <Figures history={history} />}
      </div>
    </dialog>
  );
}

function Facts({ model, info }: { readonly model: Model | undefined; readonly info: ServerInfo }) {
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["Model", model?.id],
    ["Device", info.device],
    ["Weights", info.weights],
    ["Context", info.context],
    ["Memory", info.memory],
    ["Version", info.version],
    [
      "Experts",
      model && (model.tellsRouting ? "shown below each new answer" : "hidden; start the server with --expose-routing to see them"),
    ],
  ];
  return (
    <dl class="facts">
      {facts.map(
        ([name, value]) =>
          value !== undefined && (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

function Figures({ history }: { readonly history: readonly Snapshot[] }) {
  const { slots } = history.at(-1)!;
  return (
    <section class="charts" aria-label="The last minutes, while this is open">
      <Chart title="Answers being written" unit="" points={levelOf(history, ({ running }) => running)} />
      <Chart title="Answers waiting" unit="" points={levelOf(history, ({ waiting }) => waiting)} />
      <Chart title={`Slots in use, of ${slots}`} unit="" top={slots} points={levelOf(history, ({ slotsUsed }) => slotsUsed)} />
      <Chart title="Answer tokens" unit="/s" points={rateOf(history, ({ outputTokens }) => outputTokens)} />
      <Chart title="Prompt tokens" unit="/s" points={rateOf(history, ({ promptTokens }) => promptTokens)} />
      <Chart title="Time to first token" unit=" ms" points={meanMsOf(history, ({ firstToken }) => firstToken)} />
      <Chart title="Time between tokens" unit=" ms" points={meanMsOf(history, ({ nextToken }) => nextToken)} />
    </section>
  );
}

/** Looks at once and every two seconds, but not while nobody can see the page. */
function useStatus(connection: Connection) {
  const [info, setInfo] = useState<ServerInfo>({});
  const [history, setHistory] = useState<readonly Snapshot[]>([]);
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    let isOpen = true;
    const guarded = async (ask: () => Promise<void>) => {
      try {
        await ask();
        if (isOpen) setProblem(undefined);
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        if (isOpen) setProblem(error.problem);
      }
    };
    const look = async () => {
      if (document.hidden) return;
      const snapshot = readSnapshot(await readMetrics(connection), performance.now());
      if (isOpen) setHistory((known) => addSnapshot(known, snapshot));
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lookOn = async () => {
      await guarded(look);
      if (isOpen) timer = setTimeout(() => void lookOn(), intervalMs);
    };
    void guarded(async () => setInfo(await readServerInfo(connection))).then(lookOn);
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, []);
  return { info, history, problem };
}
