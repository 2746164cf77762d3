// What several views need of the browser.

import { useEffect, useState } from "preact/hooks";
import type { Playground } from "../chat/playground.ts";
import type { PlaygroundState } from "../chat/playground-state.ts";

export function usePlayground(playground: Playground): PlaygroundState {
  const [state, setState] = useState(playground.state);
  useEffect(() => {
    setState(playground.state);
    return playground.subscribe(() => setState(playground.state));
  }, [playground]);
  return state;
}

/** Whether a media query holds. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const update = () => setMatches(list.matches);
    list.addEventListener("change", update);
    return () => list.removeEventListener("change", update);
  }, [query]);
  return matches;
}
