/** The acts on an experiment: each says what will happen before it does. */

import { changeExperiment } from "../../api.js";
import { Confirmation } from "../../components/dialog.js";
import { formatNumber, formatShare, t } from "../../language.js";
import { html, useId, useState } from "../../view.js";
import { nameWord } from "../experiments/words.js";

const LONGEST_REASON = 1000;

/** The buttons of what the present stage allows; `ask(act)` opens its dialog. */
export function Acts({ known: { possible }, ask }) {
  const names = nameActs();
  return html`
    <div class="button-row">
      ${Object.keys(names)
        .filter((act) => possible.includes(act))
        .map(
          (act) =>
            html`<button type="button" key=${act} class=${act === "stop" ? "danger" : ""} onClick=${() => ask(act)}>${names[act]}</button>`,
        )}
    </div>
  `;
}

function nameActs() {
  return {
    start: t("Start"),
    advance: t("Next step"),
    resume: t("Resume"),
    pause: t("Pause"),
    promote: t("Promote"),
    stop: t("Stop: roll back"),
  };
}

/** The dialog of an act; `close(isDone)` is called at the end. */
export function ActDialog({ act, known, results, close }) {
  const { name, definition } = known;
  const [reason, setReason] = useState("");
  const [candidate, setCandidate] = useState(results.candidate || definition.candidates[0].name);
  const perform = () => changeExperiment(name, act, { reason, ...(act === "promote" && { candidate }) });
  return html`
    <${Confirmation} title=${`${nameActs()[act]}: ${name}`} action=${nameActs()[act]} tone=${act === "stop" ? "danger" : "normal"}
      perform=${perform} done=${t("{experiment}: {act} is done.", { experiment: name, act: nameWord(act) })} close=${close}>
      ${act === "promote" && html`<${CandidateChoice} ...${{ definition, candidate, set: setCandidate }} />`}
      <p>${describeAct(act, { known, candidate })}</p>
      ${act === "promote" && results.verdict !== "better" && html`<div class="warning"><p>${t("The verdict is not better, but {verdict}.", { verdict: nameWord(results.verdict) })}</p></div>`}
      <${Reason} value=${reason} set=${setReason} />
    <//>
  `;
}

function CandidateChoice({ definition, candidate, set }) {
  const id = useId();
  return html`
    <div class="field">
      <label for=${id}>${t("Candidate")}</label>
      <select id=${id} value=${candidate} onChange=${(event) => set(event.target.value)}>
        ${definition.candidates.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
      </select>
    </div>
  `;
}

function Reason({ value, set }) {
  const id = useId();
  return html`
    <div class="field">
      <label for=${id}>${t("Reason")}</label>
      <textarea id=${id} class="reason" maxlength=${LONGEST_REASON} value=${value} onInput=${(event) => set(event.target.value)}></textarea>
      <p class="hint">${t("It stands in the audit trail, beside your name and the time.")}</p>
    </div>
  `;
}

function describeAct(act, { known, candidate }) {
  const { definition, phase } = known;
  const control = definition.control.name;
  if (act === "start") return describeStart(definition, phase);
  if (act === "advance") return describeStep(definition, nextStep(definition, phase));
  if (act === "pause")
    return t(
      "Every unit is answered as without the experiment, by {control}, until it is resumed. What was seen so far stays, and counts on.",
      { control },
    );
  if (act === "resume")
    return phase.step_percent ? describeStep(definition, phase.step_percent) : describeShadow(definition);
  if (act === "stop")
    return t(
      "From the next request on every unit is answered by {control}, as without the experiment: this is the roll-back. A later start begins a new comparison.",
      { control },
    );
  return t(
    "From the next request on {candidate} answers everybody who names no version: the alias stable of {model} is pointed at it, and no request fails. The experiment ends for good.",
    { candidate, model: definition.model },
  );
}

function describeStart(definition, phase) {
  const begins =
    phase.stage === "stopped" ? t("A new comparison begins: what was seen before is not mixed with it.") : "";
  const first =
    definition.stages.shadow_share > 0
      ? describeShadow(definition)
      : describeStep(definition, definition.stages.steps[0]);
  return [begins, first].filter(Boolean).join(" ");
}

const describeShadow = ({ stages, control }) =>
  t(
    "{control} goes on answering everybody. Requests of {share} of the units are also copied to every candidate, whose answers nobody sees.",
    {
      control: control.name,
      share: formatShare(stages.shadow_share),
    },
  );

function describeStep({ candidates, control }, step) {
  const each = step / (candidates.length + 1);
  return t(
    "{step} % of the units are enrolled: {each} % get the answers of each candidate and as many those of {control} for comparison. All others are answered as without the experiment.",
    {
      step: formatNumber(step),
      each: formatNumber(each),
      control: control.name,
    },
  );
}

const nextStep = ({ stages }, { step_percent: percent }) =>
  stages.steps.find((step) => step > percent) ?? stages.steps[stages.steps.length - 1];
