/** Server-sent events read by `fetch`, since the browser's own reader cannot send a key. */

import { send } from "./api.js";

const LONGEST_EVENT = 32 * 1024 * 1024; // characters

/** The data of each event of the stream, parsed as JSON; raises `ApiError`, and ends when the server ends it. */
export async function* readEvents(url, signal) {
  const reply = await send("GET", url, { signal });
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      if (rest.length > LONGEST_EVENT) throw new Error("an event of the stream has no end");
      for (const event of events) {
        const data = readData(event);
        if (data) yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // else what is not read to its end stays one of the server's streams
  }
}

function readData(event) {
  const lines = event.split("\n").filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trimStart()).join("\n");
}
