// Light, dark, or as the system says.

import type { Theme } from "../store/preferences.ts";

export function applyTheme(theme: Theme): void {
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}
