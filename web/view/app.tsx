// The whole page: conversations on the left, the conversation in the middle, settings on the right.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { type AnswerTurn, attachmentsOf, turnsBefore } from "../chat/conversation.ts";
import type { Playground } from "../chat/playground.ts";
import { isBusy, type PlaygroundState } from "../chat/playground-state.ts";
import { buildRequest } from "../chat/request.ts";
import { withEarlier } from "../chat/routing.ts";
import type { Snapshot } from "../chat/server-history.ts";
import type { SnippetRequest } from "../chat/snippets.ts";
import type { Preferences } from "../store/preferences.ts";
import { Announcer } from "./announcer.tsx";
import { Chat } from "./chat.tsx";
import { CodeDialog } from "./code-dialog.tsx";
import { isComposing } from "./composing.ts";
import { ConversationList } from "./conversation-list.tsx";
import { useMedia, useOnceDrawn, usePlayground } from "./hooks.ts";
import { PageHeader } from "./page-header.tsx";
import { RoutingDialog, type RoutingShown } from "./routing-dialog.tsx";
import { type SettingsTab, SettingsPanel } from "./settings-panel.tsx";
import { SidePanel } from "./side-panel.tsx";
import { StatusDialog } from "./status-dialog.tsx";

type AppProps = { readonly playground: Playground; readonly preferences: Preferences };

export function App({ playground, preferences }: AppProps) {
  const state = usePlayground(playground);
  const isNarrow = useMedia("(max-width: 800px)");
  const isMedium = useMedia("(max-width: 1180px)");
  const { isListOpen, setListOpen, onChosen } = useListPanel(isNarrow);
  const { isSettingsOpen, setSettingsOpen, tab, setTab, openSettings } = useSettingsPanel();
  const { dialog, setDialog, showCode, showExperts } = useDialog(playground, preferences);
  const { conversation } = state;
  useEffect(() => {
    preferences.conversationId = conversation.id;
  }, [conversation.id]);
  useEffect(() => {
    document.title = conversation.title === "" ? "ernie-vl" : `${conversation.title} – ernie-vl`; // tells tabs apart
  }, [conversation.title]);
  useStopByEscape(playground);
  const startNew = () => {
    playground.startNew();
    document.querySelector<HTMLElement>("#message")?.focus();
  };
  return (
    <>
      <a class="skip" href="#message">
        Skip to the message field
      </a>
      <PageHeader
        state={state}
        isListOpen={isListOpen}
        isSettingsOpen={isSettingsOpen}
        onList={() => setListOpen(!isListOpen)}
        onSettings={() => (isSettingsOpen ? setSettingsOpen(false) : openSettings())}
        onStatus={() => setDialog({ type: "status" })}
        onNew={startNew}
      />
      <div class="columns">
        <SidePanel side="left" title="Conversations" isOpen={isListOpen} isOver={isNarrow} onClose={() => setListOpen(false)}>
          <ConversationList playground={playground} state={state} onChosen={onChosen} />
        </SidePanel>
        <Chat
          playground={playground}
          preferences={preferences}
          state={state}
          onSettings={openSettings}
          onCode={showCode}
          onExperts={showExperts}
        />
        <SidePanel side="right" title="Settings" isOpen={isSettingsOpen} isOver={isMedium} onClose={() => setSettingsOpen(false)}>
          <SettingsPanel playground={playground} state={state} preferences={preferences} tab={tab} onTab={setTab} />
        </SidePanel>
      </div>
      <Dialogs open={dialog} playground={playground} state={state} onSettings={openSettings} onClose={() => setDialog(undefined)} />
      <Announcer last={conversation.turns.at(-1)} />
    </>
  );
}

/** The list of conversations is open where there is room for it; elsewhere it covers the page until one is chosen. */
function useListPanel(isNarrow: boolean) {
  const [isListOpen, setListOpen] = useState(!isNarrow);
  useLayoutEffect(() => setListOpen(!isNarrow), [isNarrow]); // else it would flash over the page
  const onChosen = useCallback(() => isNarrow && setListOpen(false), [isNarrow]);
  return { isListOpen, setListOpen, onChosen };
}

/** The settings follow the whole conversation, so the focus moves there when they open: to the API key if another part of the page asks for it. */
function useSettingsPanel() {
  const [isSettingsOpen, setSettingsOpen] = useState(false);
  const [tab, setTab] = useState<SettingsTab>("answer");
  const onceDrawn = useOnceDrawn();
  const openSettings = useCallback((chosen?: SettingsTab) => {
    if (chosen) setTab(chosen);
    setSettingsOpen(true);
    const target = chosen === "page" ? "#api-key" : ".panel.right [aria-selected=true]";
    onceDrawn(() => document.querySelector<HTMLElement>(target)?.focus());
  }, []);
  return { isSettingsOpen, setSettingsOpen, tab, setTab, openSettings };
}

type OpenDialog =
  | { readonly type: "code"; readonly snippet: SnippetRequest }
  | { readonly type: "experts"; readonly answerId: string; readonly shown: RoutingShown }
  | { readonly type: "status" };

function useDialog(playground: Playground, preferences: Preferences) {
  const [dialog, setDialog] = useState<OpenDialog>();
  const showCode = useCallback((answer: AnswerTurn) => {
    setDialog({ type: "code", snippet: toSnippetRequest(playground.state, answer, preferences) });
  }, []);
  const showExperts = useCallback((answer: AnswerTurn) => setDialog(toExpertsDialog(playground.state, answer)), []);
  return { dialog, setDialog, showCode, showExperts };
}

type DialogsProps = {
  readonly open: OpenDialog | undefined;
  readonly playground: Playground;
  readonly state: PlaygroundState;
  readonly onSettings: (tab: SettingsTab) => void;
  readonly onClose: () => void;
};

function Dialogs({ open, playground, state, onSettings, onClose }: DialogsProps) {
  const history = useRef<readonly Snapshot[]>([]); // outlives the dialog
  if (open?.type === "code") return <CodeDialog snippet={open.snippet} onClose={onClose} />;
  if (open?.type === "status") {
    return <StatusDialog model={state.model} connection={playground.connection} kept={history} onClose={onClose} />;
  }
  if (open?.type !== "experts") return null;
  const isLast = state.conversation.turns.at(-1)?.id === open.answerId;
  const askAgain = () => {
    const refusal = playground.regenerate(open.answerId, true);
    onClose();
    if (refusal) onSettings(refusal.tab); // where the mistake is shown
  };
  return <RoutingDialog shown={open.shown} onFresh={isLast && !isBusy(state) ? askAgain : undefined} onClose={onClose} />;
}

function useStopByEscape(playground: Playground): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !isComposing(event) && !document.querySelector("dialog[open]")) playground.stop();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [playground]);
}

function toExpertsDialog({ conversation }: PlaygroundState, { id, routing }: AnswerTurn): OpenDialog | undefined {
  const turns = turnsBefore(conversation.turns, id);
  const earlier = turns.flatMap((turn) => (turn.type === "answer" && turn.routing ? [turn.routing] : []));
  return (
    routing && {
      type: "experts",
      answerId: id,
      shown: { routing: withEarlier(routing, earlier), attachments: turns.flatMap(attachmentsOf) },
    }
  );
}

function toSnippetRequest({ conversation, model }: PlaygroundState, answer: AnswerTurn, preferences: Preferences): SnippetRequest {
  const turns = turnsBefore(conversation.turns, answer.id);
  return {
    url: new URL(".", location.href).href.replace(/\/$/, ""),
    request: buildRequest(turns, answer.settings, model?.id),
    attachments: turns.flatMap(attachmentsOf),
    needsKey: preferences.key !== "",
  };
}
