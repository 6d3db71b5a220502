/** The focus after an act, whose button may go with it. */

const STAYS = "button:not([disabled]), a[href], h1[tabindex]";

/**
 * Once `opener` goes, and nobody has pressed anything since, the nearest control or heading around its place gets
 * the focus: else it would be nowhere, and the keyboard and a screen reader at the top of the page again.
 */
export function keepFocus(opener) {
  const around = [];
  for (let part = opener.parentElement; part && part !== document.body; part = part.parentElement) around.push(part);
  const stop = new AbortController();
  const observer = new MutationObserver(() => {
    if (opener.isConnected) return;
    stop.abort();
    const place = around.find((part) => part.isConnected && part.querySelector(STAYS));
    if (document.activeElement === document.body) place?.querySelector(STAYS).focus({ preventScroll: true });
  });
  stop.signal.addEventListener("abort", () => observer.disconnect());
  for (const kind of ["keydown", "pointerdown"]) addEventListener(kind, () => stop.abort(), { signal: stop.signal });
  observer.observe(document.body, { childList: true, subtree: true });
}
