/** What a browser remembers for this site, or forgets with the page where it keeps nothing for sites. */

/** `read` and `write` of one value; an empty one is forgotten. `open` gives the storage, and may throw. */
export function remember(open, name) {
  let kept = "";
  return {
    read() {
      try {
        return open().getItem(name) || "";
      } catch {
        return kept;
      }
    },
    write(value) {
      kept = value;
      try {
        if (value) open().setItem(name, value);
        else open().removeItem(name);
      } catch {
        // The page goes on with what it knows.
      }
    },
  };
}
