/** The reader's key, for as long as this tab lives, and what the server says that the reader may do. */

import { remember } from "./memory.js";
import { signal } from "./view.js";

const remembered = remember(() => sessionStorage, "adaptact.key");

/** The key that requests carry; empty for none. */
export const key = signal(remembered.read());

/** How often somebody signed in or out: all is read anew each time. */
export const entries = signal(0);

/** Who asks: `{name, roles, has_key, needs_key, experiments, audit}`; null before the server has said so. */
export const reader = signal(null);

/** Whether the server knows no such key, or asks for one where none was sent: nothing can be shown then. */
export const needsKey = signal(false);

/** Whether the reader has the role: infer, metrics, feedback or admin. The server decides at each request again. */
export const can = (role) => Boolean(reader.value?.roles.includes(role));

/** The server refused what needs this role: it is no longer the reader's, and the other pages go on. */
export function loseRole(role) {
  if (can(role)) reader.value = { ...reader.value, roles: reader.value.roles.filter((own) => own !== role) };
}

/** Send this key from now on. */
export function signIn(secret) {
  key.value = secret.trim();
  remembered.write(key.value);
  reader.value = null;
  needsKey.value = false;
  entries.value += 1;
}

/** Forget the key. */
export function signOut() {
  signIn("");
}
