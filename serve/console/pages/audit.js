/** The audit log: which changes of the server were made or refused, by whom and when, the newest first. */

import { readAudit } from "../api.js";
import { ChoiceField, Field } from "../components/field.js";
import { PageHeading } from "../components/heading.js";
import { Failure } from "../components/resource.js";
import { Table } from "../components/table.js";
import { formatNumber, formatTime, t } from "../language.js";
import { reader } from "../session.js";
import { html, useEffect, useMemo, useState } from "../view.js";
import { OutcomeBadge, joinLines, judgeOutcome, nameAction, nameOutcomes } from "./audit/actions.js";

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

function Log() {
  const [log, setLog] = useState({ lines: [], damaged: 0, next: undefined });
  const [wanted, setWanted] = useState({ text: "", outcome: "" });
  async function read(before) {
    setLog((known) => ({ ...known, isLoading: true, error: undefined }));
    try {
      const page = await readAudit(before);
      setLog((known) => extend(before ? known : { lines: [], damaged: 0 }, page));
    } catch (error) {
      setLog((known) => ({ ...known, isLoading: false, error }));
    }
  }
  useEffect(() => {
    read();
  }, []);
  const actions = useMemo(() => joinLines(log.lines), [log.lines]);
  const shown = actions.filter((action) => matches(action, wanted));
  return html`
    <${PageHeading} title=${t("Audit")} note=${describe(actions, shown, log)}>
      <button type="button" disabled=${log.isLoading} onClick=${() => read()}>${t("Refresh")}</button>
    <//>
    <${Filters} wanted=${wanted} set=${setWanted} />
    ${log.error && html`<${Failure} error=${log.error} retry=${() => read(log.next)} />`}
    ${log.isLoading && !actions.length && html`<p class="loading" role="status">${t("Loading…")}</p>`}
    <${Actions} all=${actions} shown=${shown} isLoading=${log.isLoading} />
    ${log.next && html`<p><button type="button" disabled=${log.isLoading} onClick=${() => read(log.next)}>${log.isLoading ? t("Working…") : t("Show older ones")}</button></p>`}
  `;
}

const extend = ({ lines, damaged }, page) => ({
  lines: [...lines, ...page.entries],
  damaged: damaged + page.damaged,
  next: page.next,
  isLoading: false,
});

function matches(action, { text, outcome }) {
  const sought = text.trim().toLowerCase();
  const fields = [action.caller, action.action, nameAction(action.action), action.request_id];
  return (
    (!outcome || judgeOutcome(action) === outcome) &&
    (!sought || fields.some((field) => field.toLowerCase().includes(sought)))
  );
}

function describe(actions, shown, { next, damaged }) {
  const parts = [
    next
      ? t("the last {count} actions", { count: formatNumber(actions.length) })
      : t("actions: {count}", { count: formatNumber(actions.length) }),
    shown.length < actions.length && t("shown: {count}", { count: formatNumber(shown.length) }),
    damaged > 0 && t("damaged lines, left out: {count}", { count: formatNumber(damaged) }),
  ];
  return parts.filter(Boolean).join(" · ");
}

function Filters({ wanted, set }) {
  const outcomes = [["", t("all")], ...Object.entries(nameOutcomes())];
  return html`
    <div class="audit-filters" role="search">
      <${Field} label=${t("Filter by caller, action or request")}>
        ${(id) => html`<input id=${id} type="search" value=${wanted.text} onInput=${(event) => set({ ...wanted, text: event.target.value })} />`}
      <//>
      <${ChoiceField} label=${t("Outcome")} value=${wanted.outcome} choices=${outcomes} set=${(outcome) => set({ ...wanted, outcome })} />
    </div>
  `;
}

function Actions({ all, shown, isLoading }) {
  if (!all.length)
    return !isLoading && html`<div class="empty"><p>${t("Nothing was changed yet.")}</p></div>`;
  if (!shown.length) return html`<div class="empty"><p>${t("No action is like this.")}</p></div>`;
  const columns = [
    { key: "time", title: t("Time"), value: ({ time }) => time, cell: ({ time }) => showTime(time) },
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
      <${Table} caption=${t("Actions, the newest first")} columns=${columns} rows=${shown} name=${({ place }) => place} />
    </div>
  `;
}

function showTime(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? html`<bdi>${time}</bdi>` : formatTime(date);
}
