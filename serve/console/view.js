/** What every component is made of: `html` for markup, Preact's hooks, and signals. */

import htm from "./vendor/htm.js";
import { h, render } from "./vendor/preact.js";

export { render };
export {
  useEffect,
  useErrorBoundary,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "./vendor/hooks.js";
export { computed, effect, signal, useComputed, useSignal } from "./vendor/signals.js";

/** Markup as Preact's nodes. Whatever is put into it becomes text, never markup. */
export const html = htm.bind(h);
