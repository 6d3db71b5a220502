/** The audit log: which changes of the server were made or refused, by whom and when, the newest first. */

import { readAudit } from "../api.js";
import { ChoiceField, Field } from "../components/field.js";
import { PageHeading } from "../components/heading.js";
import { Failure } from "../components/resource.js";
import { Table } from "../components/table.js";
import { formatNumber, formatTime, t } from "../language.js";
import { reader } from "../session.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { OutcomeBadge, nameAction, nameOutcomes } from "./audit/actions.js";

/** The page. */
export function Page() {
  if (!reader.value.audit) return html`<${WithoutFile} />`;
  return html`<${Log} />`;
}

function WithoutFile() {
  return html`
    <${PageHeading} title=${t("Audit")} />
    <div class="empty"><p>${t("The audit log of this server goes into its own log. Start it with --audit-log and a file, and it can be read here.")}</p></div>
  `;
}

const NOTHING = { entries: [], damaged: 0, unread: [], next: null };
const PAUSE_MS = 300; // after a letter that was typed
const MOST_PAGES = 10; // that are asked for at once, as long as none of them has what is wanted

function Log() {
  const [wanted, setWanted] = useState({ text: "", outcome: "" });
  const [log, setLog] = useState({ ...NOTHING, isLoading: true });
  const current = useRef(null);
  async function read(known) {
    current.current?.abort();
    const control = new AbortController();
    current.current = control;
    const settle = (next) => control.signal.aborted || setLog(next);
    settle((before) => ({ ...before, isLoading: true, error: undefined }));
    try {
      const found = await readOn(known, wanted, control.signal);
      settle({ ...found, isLoading: false });
    } catch (error) {
      settle((before) => ({ ...before, isLoading: false, error }));
    }
  }
  useEffect(() => {
    const timer = setTimeout(() => read(NOTHING), wanted.text ? PAUSE_MS : 0);
    return () => clearTimeout(timer);
  }, [wanted.text, wanted.outcome]);
  useEffect(() => () => current.current?.abort(), []);
  return html`
    <${PageHeading} title=${t("Audit")} note=${describe(log)}>
      <button type="button" disabled=${log.isLoading} onClick=${() => read(NOTHING)}>${t("Refresh")}</button>
    <//>
    <${Filters} wanted=${wanted} set=${setWanted} />
    ${log.error && html`<${Failure} error=${log.error} retry=${() => read(log)} />`}
    ${log.isLoading && !log.entries.length && html`<p class="loading" role="status">${t("Loading…")}</p>`}
    <${Actions} actions=${log.entries} isLoading=${log.isLoading} isFiltered=${Boolean(wanted.text.trim() || wanted.outcome)} />
    ${log.next && html`<p><button type="button" disabled=${log.isLoading} onClick=${() => read(log)}>${log.isLoading ? t("Working…") : t("Show older ones")}</button></p>`}
  `;
}

/** What is known and the next page that has any action which is wanted. */
async function readOn(known, wanted, signal) {
  let all = known;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const page = await readAudit(wanted, all.next, signal);
    all = {
      entries: [...all.entries, ...page.entries],
      damaged: all.damaged + page.damaged,
      unread: [...new Set([...all.unread, ...page.unread])],
      next: page.next,
      reached: page.reached ?? all.reached,
    };
    if (!all.next || page.entries.length) break;
  }
  return all;
}

function describe({ entries, next, damaged, unread, reached }) {
  const parts = [
    next
      ? t("the last {count} actions", { count: formatNumber(entries.length) })
      : t("actions: {count}", { count: formatNumber(entries.length) }),
    next && reached && t("searched back to {time}", { time: showTime(reached) }),
    damaged > 0 && t("damaged lines, left out: {count}", { count: formatNumber(damaged) }),
    unread.length > 0 && t("not read, or not whole: {files}", { files: unread.join(", ") }),
  ];
  return parts.filter(Boolean).join(" · ");
}

function Filters({ wanted, set }) {
  const outcomes = [["", t("all")], ...Object.entries(nameOutcomes())];
  return html`
    <div class="audit-filters" role="search">
      <${Field} label=${t("Filter by caller, path or request")} hint=${t("All words, in the whole log")}>
        ${(id) => html`<input id=${id} type="search" maxlength="200" value=${wanted.text} onInput=${(event) => set({ ...wanted, text: event.target.value })} />`}
      <//>
      <${ChoiceField} label=${t("Outcome")} value=${wanted.outcome} choices=${outcomes} set=${(outcome) => set({ ...wanted, outcome })} />
    </div>
  `;
}

function Actions({ actions, isLoading, isFiltered }) {
  if (!actions.length) {
    const text = isFiltered ? t("No action is like this.") : t("Nothing was changed yet.");
    return !isLoading && html`<div class="empty"><p>${text}</p></div>`;
  }
  const columns = [
    { key: "time", title: t("Time"), value: ({ time }) => time, cell: ({ time }) => html`<bdi>${showTime(time)}</bdi>` },
    {
      key: "caller",
      title: t("Caller"),
      value: ({ caller }) => caller,
      cell: ({ caller }) => html`<bdi>${caller}</bdi>`,
    },
    {
      key: "action",
      title: t("Action"),
      value: ({ action }) => nameAction(action),
      cell: ({ action }) =>
        html`<bdi>${nameAction(action)}</bdi><code class="action-path"><bdi>${action}</bdi></code>`,
    },
    {
      key: "outcome",
      title: t("Outcome"),
      value: ({ status }) => status ?? -1,
      cell: (action) => html`<${OutcomeBadge} action=${action} />`,
    },
    {
      key: "request",
      title: t("Request"),
      cell: ({ request_id: id }) => html`<code><bdi>${id}</bdi></code>`,
    },
  ];
  return html`
    <div class="records">
      <${Table} caption=${t("Actions, the newest first")} columns=${columns} rows=${actions.map((action, place) => ({ ...action, place }))} name=${({ place }) => place} atOnce=${Infinity} />
    </div>
  `;
}

function showTime(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? time : formatTime(date);
}
