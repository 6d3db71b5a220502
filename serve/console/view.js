/** What every component is made of: `html` for markup, Preact's hooks, and signals. */

import htm from "./vendor/htm.js";
import { h, options, render } from "./vendor/preact.js";
import { makeNodeVisible } from "./visible.js";

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

const before = options.vnode;
options.vnode = (node) => {
  makeNodeVisible(node);
  before?.(node);
};

/** Markup as Preact's nodes. Whatever is put into it becomes text, never markup, and can be seen as it is. */
export const html = htm.bind(h);
