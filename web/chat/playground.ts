// The page's logic: keeps the current conversation, asks the server and notifies the views of every change. Independent of the DOM.

import type { ConversationStore, TabMessage } from "../store/conversation-store.ts";
import {
  type AnswerTurn,
  type Attachment,
  canGoOn,
  type Conversation,
  hasContent,
  isRunning,
  mergeConversations,
  newAnswer,
  newConversation,
  openCalls,
  replaceAnswer,
  titleOf,
  type Turn,
  turnsBefore,
  withoutRunning,
} from "./conversation.ts";
import { isBusy, type MessageRefusal, type PlaygroundState, type Refusal, type Run } from "./playground-state.ts";
import { type Problem, ProblemError } from "./problem.ts";
import { readAnswer } from "./read-answer.ts";
import { buildRequest, goOnWith, isTooLarge } from "./request.ts";
import { type Connection, listModels, type Model } from "./server.ts";
import { checkSettings, type ExampleSettings, type Settings, withoutExample } from "./settings.ts";
import { answerZooms, type CutPicture, goesOnByItself, isZoomCall } from "./zoom.ts";

type PlaygroundOptions = {
  readonly store: ConversationStore;
  readonly connection: () => Connection;
  /** Milliseconds, for durations. */
  readonly now: () => number;
  readonly createId: () => string;
  readonly cutPicture: CutPicture;
};

type Wish = {
  /** Further fields of the request, besides those of the settings. */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** The answer that the new one replaces, as soon as any of it arrives. */
  readonly replacedAnswer?: AnswerTurn | undefined;
  /** The unfinished answer that the new one continues. */
  readonly begun?: AnswerTurn | undefined;
};

/** How often other tabs are told of a running answer, and after which silence they give it up. Timers of hidden pages run once a second. */
const tellEveryMs = 300;
const silenceMs = 4000;

/** How long to wait before connecting again to a server that is down. */
const retryMs = 5000;

export class Playground {
  readonly #options: PlaygroundOptions;
  readonly #listeners = new Set<() => void>();
  #state: PlaygroundState;
  /** Settles when the running (or last) answer has ended. */
  #ending: Promise<void> = Promise.resolve();
  /** The conversation to be shown once it is loaded. */
  #wantedId: string;
  /** The versions of conversations that the store already holds. */
  readonly #kept = new WeakSet<Conversation>();
  #example: (ExampleSettings & { readonly conversationId: string }) | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Fires when another tab that was writing an answer has gone silent. */
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(options: PlaygroundOptions) {
    this.#options = options;
    const conversation = newConversation(options.createId(), Date.now());
    const keeping = options.store.isLasting ? "lasting" : "tab";
    this.#state = { server: { type: "connecting" }, model: undefined, summaries: [], keeping, conversation, run: undefined };
    this.#wantedId = conversation.id;
    options.store.onMessage((message) => this.#hear(message));
  }

  get state(): PlaygroundState {
    return this.#state;
  }

  get connection(): Connection {
    return this.#options.connection();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Shows the conversation with this id if it is still kept, and asks the server what it serves. */
  async start(conversationId: string | undefined): Promise<void> {
    const begun = this.#state.conversation;
    const kept = conversationId === undefined ? undefined : await this.load(conversationId).catch(() => undefined);
    if (kept && this.#state.conversation === begun && this.#wantedId === begun.id) this.#show(kept);
    await Promise.all([this.#list(), this.connect()]);
  }

  async connect(): Promise<void> {
    this.#set({ server: { type: "connecting" } });
    await this.#connect();
  }

  async #connect(): Promise<void> {
    clearTimeout(this.#retry);
    try {
      const models = await listModels(this.#options.connection());
      const model = models.find(({ id }) => id === this.#state.model?.id) ?? models[0];
      this.#set({ server: { type: "ready", models }, model });
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      this.#noteProblem(error.problem);
    }
  }

  chooseModel(model: Model): void {
    this.#set({ model });
  }

  change(settings: Partial<Settings>): void {
    const { conversation } = this.#state;
    this.#set({ conversation: { ...conversation, settings: { ...conversation.settings, ...settings } } });
  }

  /** Starts a conversation, by default with the user's current settings: whoever made them will want to keep them. */
  startNew(settings?: Settings): void {
    void this.keepChanges();
    const { id, settings: shown } = this.#state.conversation;
    const own = this.#example?.conversationId === id ? withoutExample(shown, this.#example) : shown;
    this.#show(newConversation(this.#options.createId(), Date.now(), settings ?? own));
  }

  async open(id: string): Promise<void> {
    void this.keepChanges();
    this.#wantedId = id;
    const conversation = await this.load(id);
    if (conversation && this.#wantedId === id) this.#show(conversation);
  }

  async rename(id: string, title: string): Promise<void> {
    const conversation = await this.load(id);
    if (!conversation || title.trim() === "") return;
    await this.#keep({ ...conversation, title: title.trim() });
  }

  async remove(id: string): Promise<void> {
    if (this.#state.run?.conversation.id === id) {
      this.stop();
      await this.#ending; // else it would be saved again
    }
    await this.#options.store.remove(id);
    if (this.#state.conversation.id === id) this.#show(newConversation(this.#options.createId(), Date.now()));
    await this.#list();
  }

  /** A conversation with its pictures, in its latest state. */
  async load(id: string): Promise<Conversation | undefined> {
    const { conversation: shown, run } = this.#state;
    return [shown, run?.conversation].find((known) => known?.id === id) ?? (await this.#loadKept(id));
  }

  /** Saves unsaved changes before the user leaves the conversation, or the page (`isLast`). A conversation without a message is not saved. */
  async keepChanges(isLast = false): Promise<void> {
    const { conversation: shown, run } = this.#state;
    const known = run && run.conversation.id !== shown.id ? [run.conversation, shown] : [shown];
    await Promise.all(known.map((one) => one.turns.length > 0 && !this.#kept.has(one) && this.#store(one, isLast)));
  }

  /** To be called as soon as the page may close: keeps what there is. If the answer breaks off from now on, it was stopped and did not fail. */
  leave(): void {
    const { run } = this.#state;
    if (run) this.#set({ run: { ...run, isLeft: true } });
    void this.keepChanges(true);
  }

  /** Sends a message. Returns why it was not sent, or undefined. */
  send(text: string, attachments: readonly Attachment[]): MessageRefusal | undefined {
    return this.#say(this.#state.conversation.turns, text, attachments);
  }

  /** Sends an example. The settings that it brings are for this conversation only. */
  sendExample(text: string, attachments: readonly Attachment[], brought: Partial<Settings>): void {
    const { id, settings } = this.#state.conversation;
    this.#example = { conversationId: id, brought, before: settings };
    this.change(brought);
    this.send(text, attachments);
  }

  /** Replaces a message of the user and everything after it. */
  edit(turnId: string, text: string, attachments: readonly Attachment[]): MessageRefusal | undefined {
    return this.#say(turnsBefore(this.#state.conversation.turns, turnId), text, attachments);
  }

  /** Asks for this answer again, with the current settings. `isFresh`: the server computes the whole prompt, without its cache. */
  regenerate(answerId: string, isFresh = false): Refusal | undefined {
    const { turns } = this.#state.conversation;
    const replacedAnswer = turns.find(({ id }) => id === answerId) as AnswerTurn | undefined;
    return this.#ask(turnsBefore(turns, answerId), { replacedAnswer, fields: isFresh ? { cache_salt: this.#options.createId() } : {} });
  }

  /** Asks for the rest of the last answer, if it can be continued. */
  goOn(): Refusal | undefined {
    const { turns } = this.#state.conversation;
    const begun = turns.at(-1);
    return begun?.type === "answer" && canGoOn(begun) ? this.#ask(turns.slice(0, -1), { begun }) : undefined;
  }

  /** Sends results, in order, for the calls of the last answer that wait for the user, and lets the model continue. */
  giveResults(results: readonly string[]): Refusal | undefined {
    const { turns } = this.#state.conversation;
    const answer = turns.at(-1);
    const open = openCalls(turns);
    if (answer?.type !== "answer" || open.length === 0) return undefined;
    const waiting = open.filter((call) => !isZoomCall(call, answer));
    if (waiting.length !== results.length) return undefined;
    const calls = answer.calls.map((call) => (waiting.includes(call) ? { ...call, result: results[waiting.indexOf(call)] } : call));
    return this.#ask([...turns.slice(0, -1), { ...answer, calls }]);
  }

  /** Stops the running answer, in this tab or another. */
  stop(): void {
    const { run, conversation } = this.#state;
    if (run) run.abort.abort();
    else if (isBusy(this.#state)) this.#options.store.tell({ type: "stop", id: conversation.id });
  }

  #say(before: readonly Turn[], text: string, attachments: readonly Attachment[]): MessageRefusal | undefined {
    const turns: readonly Turn[] = [...before, { type: "user", id: this.#options.createId(), text, attachments }];
    return isTooLarge(turns) ? "too-large" : this.#ask(turns);
  }

  #ask(turns: readonly Turn[], wish: Wish = {}): Refusal | undefined {
    const { conversation } = this.#state;
    const { format, schema } = wish.begun?.settings ?? conversation.settings;
    const settings: Settings = { ...conversation.settings, format, schema };
    const refusal = checkSettings(settings);
    if (refusal) return refusal;
    if (!isBusy(this.#state)) this.#begin(conversation, turns, settings, wish);
    return undefined;
  }

  /** `before`: the conversation that the turns belong to, which may not be the one that is shown. */
  #begin(before: Conversation, turns: readonly Turn[], settings: Settings, wish: Wish = {}): void {
    const answer = newAnswer(this.#options.createId(), settings, wish.begun);
    const gone = before.turns.filter(({ id }) => turns.every((turn) => turn.id !== id)).map(({ id }) => id);
    const replaced = [...(before.replaced ?? []), ...gone];
    const conversation = { ...before, title: before.title || titleOf(turns), updatedAt: Date.now(), turns: [...turns, answer], replaced };
    const started = { conversation, answer, abort: new AbortController() };
    this.#set({ run: started, ...(this.#state.conversation.id === before.id && { conversation }) });
    this.#ending = this.#run(started, turns, wish);
  }

  async #run(run: Run, turns: readonly Turn[], { fields, replacedAnswer, begun }: Wish): Promise<void> {
    const { model } = this.#state;
    const { settings } = run.answer;
    void this.#store(run.conversation); // not awaited, so that the answer starts at once
    const telling = setInterval(() => this.#tellAnswer(), tellEveryMs);
    const asked = {
      ...buildRequest(await this.#zoom(turns), settings, model?.id),
      ...(model?.tellsRouting && { return_routing: true }),
      ...fields,
    };
    const request = begun ? goOnWith(asked, begun) : asked;
    const asking = { connection: this.#options.connection(), request, begun, signal: run.abort.signal, now: this.#options.now };
    const read = await readAnswer(asking, (change) => this.#showAnswer(change));
    const end = this.#state.run!.isLeft && read.state === "failed" ? { ...read, state: "stopped" as const, problem: undefined } : read;
    clearInterval(telling);
    const isLost = replacedAnswer && hasContent(replacedAnswer) && !hasContent(end);
    this.#showAnswer(isLost ? { ...replacedAnswer, id: run.answer.id, problem: end.problem } : end);
    this.#noteServer(end);
    const conversation = { ...this.#state.run!.conversation, updatedAt: Date.now() };
    if (end.state === "done" && !run.abort.signal.aborted && goesOnByItself(conversation.turns)) {
      return this.#begin(conversation, conversation.turns, settings);
    }
    this.#set({ run: undefined });
    await this.#keep(conversation);
  }

  /** The turns with all that the model asked to see, which is shown and kept from now on. */
  async #zoom(turns: readonly Turn[]): Promise<readonly Turn[]> {
    const zoomed = await answerZooms(turns, this.#options.cutPicture);
    const changed = zoomed.filter((turn) => turn.type === "answer" && !turns.includes(turn)) as AnswerTurn[];
    for (const turn of changed) this.#showTurn(turn);
    if (changed.length > 0) void this.#store(this.#state.run!.conversation);
    return zoomed;
  }

  /** Updates the server's state from how an answer ended. */
  #noteServer({ state, problem }: Partial<AnswerTurn>): void {
    const { server } = this.#state;
    if (problem?.kind === "unreachable" || problem?.kind === "key") this.#noteProblem(problem);
    else if (state === "done" && server.type === "problem") void this.connect();
  }

  /** Keeps trying to reach a server that is down, so that nobody needs to. */
  #noteProblem(problem: Problem): void {
    this.#set({ server: { type: "problem", problem } });
    clearTimeout(this.#retry);
    if (problem.kind === "unreachable") this.#retry = setTimeout(() => void this.#connect(), retryMs);
  }

  #showAnswer(change: Partial<AnswerTurn>): void {
    const { run } = this.#state;
    if (!run) return;
    const answer = { ...run.answer, ...change };
    this.#showTurn(answer, { ...run, answer });
  }

  /** Updates the answer; other changes (title, settings) stay. */
  #showTurn(answer: AnswerTurn, run = this.#state.run!): void {
    const { conversation: shown } = this.#state;
    const isShown = shown.id === run.conversation.id;
    const conversation = replaceAnswer(isShown ? shown : run.conversation, answer);
    this.#set({ run: { ...run, conversation }, ...(isShown && { conversation }) });
  }

  async #keep(conversation: Conversation): Promise<void> {
    const { conversation: shown, run } = this.#state;
    if (shown.id === conversation.id) this.#set({ conversation });
    if (run?.conversation.id === conversation.id) this.#set({ run: { ...run, conversation } });
    await this.#store(conversation);
  }

  /** Saves a conversation. A failure (no space left) must not stop the conversation. */
  async #store(conversation: Conversation, isLast = false): Promise<void> {
    try {
      await this.#options.store.save(conversation, isLast);
      this.#kept.add(conversation);
      if (this.#state.keeping === "failed") this.#set({ keeping: "lasting" });
    } catch {
      this.#set({ keeping: "failed" });
    }
    await this.#list();
  }

  async #loadKept(id: string): Promise<Conversation | undefined> {
    const kept = await this.#options.store.load(id);
    const conversation = kept && withoutRunning(kept);
    if (conversation) this.#kept.add(conversation);
    return conversation;
  }

  #tellAnswer(): void {
    const { run } = this.#state;
    if (run) this.#options.store.tell({ type: "answer", id: run.conversation.id, answer: run.answer });
  }

  #hear(message: TabMessage): void {
    const { conversation: shown, run } = this.#state;
    if (message.type === "changed") void this.#follow(message.id).catch(() => undefined); // the next change finds it
    else if (message.type === "stop" && message.id === run?.conversation.id) this.stop();
    else if (message.type === "answer" && message.id === shown.id) {
      this.#set({ conversation: replaceAnswer(shown, message.answer) });
      this.#waitForMore();
    }
  }

  /** Another tab changed this conversation: merges its version, and saves again if this tab knows more. */
  async #follow(id: string): Promise<void> {
    await this.#list();
    const isHere = () => this.#state.conversation.id === id || this.#state.run?.conversation.id === id;
    if (!isHere()) return;
    const kept = await this.#options.store.load(id);
    if (!isHere()) return;
    if (!kept) return this.remove(id);
    const { conversation: shown, run } = this.#state;
    const merged = { ...mergeConversations(kept, shown.id === id ? shown : run!.conversation), title: kept.title };
    const conversation = run?.conversation.id === id ? replaceAnswer(merged, run.answer) : merged;
    this.#set({
      ...(shown.id === id && { conversation }),
      ...(run?.conversation.id === id && { run: { ...run, conversation } }),
    });
    if (shown.id === id) this.#waitForMore();
    if (merged.turns.some((turn, index) => turn !== kept.turns[index] && !isRunning(turn))) await this.#store(conversation);
  }

  /** Gives up another tab's answer after a silence: if that tab is gone, the answer will never end. */
  #waitForMore(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      const { conversation, run } = this.#state;
      const stopped = withoutRunning(conversation);
      this.#set({ conversation: run ? replaceAnswer(stopped, run.answer) : stopped }); // this tab's own answer continues
    }, silenceMs);
  }

  #show(conversation: Conversation): void {
    this.#wantedId = conversation.id;
    this.#set({ conversation });
  }

  async #list(): Promise<void> {
    this.#set({ summaries: await this.#options.store.list().catch(() => []) });
  }

  #set(change: Partial<PlaygroundState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
