/** Which page is shown: the part of the address behind `#`, so that it can be linked and stepped back from. */

import { signal } from "./view.js";

/** The parts of the address that is shown, decoded: `["models", "digits", "1"]`; none for the first page. */
export const route = signal(parseHash(location.hash));

addEventListener("hashchange", () => {
  route.value = parseHash(location.hash);
});

/** The parts of `#/a/b`; none where they cannot be decoded. */
export function parseHash(hash) {
  try {
    return hash
      .replace(/^#?\/?/, "")
      .split("/")
      .filter(Boolean)
      .map(decodeURIComponent);
  } catch {
    return [];
  }
}

/** The address of a page: `link("models", "digits", "1")`. */
export function link(...parts) {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}
