/** Light or dark: the system's choice until one is made here, which this browser remembers. */

import { remember } from "./memory.js";
import { signal } from "./view.js";

const remembered = remember(() => localStorage, "adaptact.theme");
const DARK = "(prefers-color-scheme: dark)";
const system = matchMedia(DARK);
const darkRules = [...document.styleSheets]
  .flatMap((sheet) => [...sheet.cssRules])
  .filter((rule) => rule instanceof CSSMediaRule && rule.media.mediaText.includes(DARK));

/** `light` or `dark`, as shown. */
export const theme = signal("light");

/** Show the remembered theme, or else the system's, and follow the system where none is remembered. */
export function startTheme() {
  show(remembered.read() || systemTheme());
  system.addEventListener("change", () => remembered.read() || show(systemTheme()));
}

/** Show the other theme; what the system shows anyway need not be remembered. */
export function switchTheme() {
  const chosen = theme.value === "dark" ? "light" : "dark";
  remembered.write(chosen === systemTheme() ? "" : chosen);
  show(chosen);
}

function systemTheme() {
  return system.matches ? "dark" : "light";
}

/** The dark colours stand in the style sheets once, under the system's choice: here they apply by ours. */
function show(chosen) {
  for (const rule of darkRules) rule.media.mediaText = chosen === "dark" ? "screen" : "not all";
  document.documentElement.style.colorScheme = chosen;
  theme.value = chosen;
}
