/** Ask a model something: a form of its inputs, its answer, and the same call as curl and Python. */

import { askModel, readMetadata } from "../api.js";
import { Code, Download } from "../components/code.js";
import { PageHeading } from "../components/heading.js";
import { Failure, Loaded, useResource } from "../components/resource.js";
import { t } from "../language.js";
import { link } from "../routes.js";
import { html, useState } from "../view.js";
import { Answer, readPredictions } from "./try/answer.js";
import { ColumnsForm, ImageForm, TensorsForm, TextForm } from "./try/forms.js";
import { findKinds } from "./try/kinds.js";
import { writeCurl, writePython } from "./try/request.js";

const FORMS = { image: ImageForm, text: TextForm, columns: ColumnsForm, tensors: TensorsForm };

/** `parts` are the model's name, and perhaps the version. */
export function Page({ parts: [name, version] }) {
  const metadata = useResource((signal) => readMetadata(name, version, signal), [name, version]);
  const title =
    version === undefined
      ? t("Try {model}", { model: name })
      : t("Try {model}, version {version}", { model: name, version });
  return html`
    <p class="crumbs">
      <a href=${link("models")}>${t("Models")}</a>${" / "}
      <a href=${link("models", ...[name, version].filter(Boolean))}><bdi>${name}</bdi></a>
    </p>
    <${PageHeading} title=${title} note=${t("What you send here is answered like any other request, and counted.")} />
    <${Loaded} resource=${metadata}>${(data) => html`<${Trial} metadata=${data} target=${{ name, version }} />`}<//>
  `;
}

function Trial({ metadata, target }) {
  const kinds = findKinds(metadata);
  const [kind, setKind] = useState(kinds[0]);
  const [draft, setDraft] = useState({ request: null, problem: "" });
  const [last, setLast] = useState({}); // the last request that was sent, and what came of it
  const result = last.request === draft.request ? last : {}; // not of what was asked before
  const choose = (chosen) => {
    setKind(chosen);
    setLast({});
  };
  async function ask(event) {
    event.preventDefault();
    const { request } = draft;
    setLast({ request, isBusy: true });
    const found = await answer(request, metadata);
    setLast((known) => (known.request === request ? { request, ...found } : known));
  }
  const Form = FORMS[kind];
  const set = (request, problem = "") => setDraft({ request, problem });
  return html`
    <div class="columns trial">
      <form class="card" onSubmit=${ask}>
        <h2>${t("Input")}</h2>
        ${kinds.length > 1 && html`<${KindChoice} ...${{ kinds, kind, choose }} />`}
        <${Form} key=${kind} metadata=${metadata} target=${target} set=${set} />
        <button type="submit" class="primary" disabled=${!draft.request || result.isBusy}>
          ${result.isBusy ? t("Working…") : t("Ask")}
        </button>
        ${draft.problem && kind !== "tensors" && html`<span class="hint"> ${draft.problem}</span>`}
      </form>
      <section class="card" aria-live="polite">
        <h2>${t("Answer")}</h2>
        ${result.error && html`<${Failure} error=${result.error} />`}
        ${result.outputs && html`<${Answer} ...${result} classes=${metadata.description?.classes?.value} />`}
        ${!result.error && !result.outputs && html`<p class="note">${t("Nothing was asked yet.")}</p>`}
      </section>
    </div>
    ${draft.request && html`<${SameCall} request=${draft.request} target=${target} />`}
  `;
}

function KindChoice({ kinds, kind, choose }) {
  const names = { image: t("Image"), text: t("Text"), columns: t("Row of a table"), tensors: t("Numbers") };
  return html`
    <div class="group kinds" role="group" aria-label=${t("Ask with")}>
      ${kinds.map(
        (other) => html`
        <button type="button" key=${other} aria-pressed=${other === kind} onClick=${() => choose(other)}>
          ${names[other]}
        </button>
      `,
      )}
    </div>
  `;
}

async function answer(request, metadata) {
  const start = performance.now();
  try {
    const reply = await askModel(request);
    const milliseconds = performance.now() - start;
    const outputs = reply.outputs || readPredictions(reply.predictions, metadata.outputs);
    return {
      outputs,
      milliseconds,
      labels: reply.labels,
      truncated: reply.truncated,
      version: reply.model_version,
    };
  } catch (error) {
    return { error };
  }
}

function SameCall({ request, target }) {
  return html`
    <section class="card">
      <h2>${t("The same call")}</h2>
      ${
        request.isLong &&
        html`<p>
          <${Download} text=${request.body} name="request.json" type="application/json" />${" "}
          <span class="hint">${t("The commands read it.")}</span>
        </p>`
      }
      <div class="columns">
        <div><h3>curl</h3><${Code} text=${writeCurl(request)} label="curl" /></div>
        <div><h3>Python</h3><${Code} text=${writePython(request, target)} label="Python" /></div>
      </div>
    </section>
  `;
}
