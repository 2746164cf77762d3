// Entry of the page: connects the browser's storage, the server and the view.

import { render } from "preact";
import { createId } from "./chat/create-id.ts";
import { Playground } from "./chat/playground.ts";
import { memoryStore, openBrowserStore } from "./store/conversation-store.ts";
import { openStorage, Preferences } from "./store/preferences.ts";
import { App } from "./view/app.tsx";
import { cutPicture } from "./view/cut-picture.ts";
import { applyTheme } from "./view/theme.ts";

const preferences = new Preferences(
  openStorage(() => localStorage),
  openStorage(() => sessionStorage),
);
applyTheme(preferences.theme);
const store = await openBrowserStore().catch(memoryStore);
const playground = new Playground({
  store,
  connection: () => ({ fetch: (...request) => fetch(...request), key: preferences.key }),
  now: () => performance.now(),
  createId,
  cutPicture,
});
render(<App playground={playground} preferences={preferences} />, document.querySelector("#page")!);
void playground.start(preferences.conversationId);
addEventListener("beforeunload", () => playground.leave()); // before Firefox and Safari break answers off, and while Safari still saves
document.addEventListener("visibilitychange", () => void (document.hidden && playground.keepChanges(true))); // it may be the last event before the page closes
