/** Which page is shown: the part of the address behind `#`, so that it can be linked and stepped back from. */

import { signal } from "./view.js";

const HOME = ["models"];

/** The parts of the address that is shown, decoded: `["models", "digits", "1"]`. */
export const route = signal(parseHash(location.hash));

addEventListener("hashchange", () => {
  route.value = parseHash(location.hash);
});

/** The parts of `#/a/b`; the home page where there are none, or where they cannot be decoded. */
export function parseHash(hash) {
  try {
    const parts = hash
      .replace(/^#?\/?/, "")
      .split("/")
      .filter(Boolean)
      .map(decodeURIComponent);
    return parts.length ? parts : HOME;
  } catch {
    return HOME;
  }
}

/** The address of a page: `link("models", "digits", "1")`. */
export function link(...parts) {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}
