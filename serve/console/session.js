/** The reader's key, for as long as this tab lives, and what the server says that the reader may do. */

import { signal } from "./view.js";

const REMEMBERED = "adaptact.key";

/** The key that requests carry; empty for none. */
export const key = signal(sessionStorage.getItem(REMEMBERED) || "");

/** Who asks: `{name, roles, has_key, needs_key, experiments, audit}`; null before the server has said so. */
export const reader = signal(null);

/** The server's answer to a request that needs another key, as an `ApiError`; null while none does. */
export const refusal = signal(null);

/** Whether the reader has the role: infer, metrics, feedback or admin. The server decides at each request again. */
export const can = (role) => Boolean(reader.value?.roles.includes(role));

/** Send this key from now on. */
export function signIn(secret) {
  key.value = secret.trim();
  if (key.value) sessionStorage.setItem(REMEMBERED, key.value);
  else sessionStorage.removeItem(REMEMBERED);
  reader.value = null;
  refusal.value = null;
}

/** Forget the key. */
export function signOut() {
  signIn("");
}
