/** The server's public API: the one module that sends requests. Every failure is an `ApiError`. */

import { parseExactly } from "./json.js";
import { language, t } from "./language.js";
import { key, loseRole, needsKey } from "./session.js";

/** A request that failed: what the server said, which request it was, and what to do about it. */
export class ApiError extends Error {
  constructor(status, message, where, isForPrograms = false) {
    super(message);
    this.status = status;
    this.where = where;
    this.isForPrograms = isForPrograms;
  }

  /** What the reader can do. */
  get advice() {
    if (this.isForPrograms)
      return t("Ask by a program: the Python client of adaptact reads such answers.");
    return advise(this.status);
  }
}

function advise(status) {
  if (status === 0) return t("Check that the server runs and that this computer reaches it, then try again.");
  if (status === 401) return t("Sign in with a key of this server.");
  if (status === 403) return t("Sign in with a key that has the role, or ask an administrator for one.");
  if (status === 404)
    return t("It may have been removed or renamed since this page was loaded: load it again.");
  if (status === 409) return t("Somebody may have changed it meanwhile: load the page again and look.");
  if (status === 429 || status === 503) return t("Wait a moment, then try again.");
  if (status >= 500) return t("The server's log says why.");
  return t("Correct what the message names, then try again.");
}

/** A path whose values are encoded: `` path`/v2/models/${name}` ``. */
export function path(texts, ...values) {
  return texts.reduce((whole, text, place) => whole + encodeURIComponent(values[place - 1]) + text);
}

/** The answer's JSON; raises `ApiError`. The key is sent in a header, and no cookie ever is. */
export async function request(method, url, { body, signal, parse = JSON.parse } = {}) {
  const reply = await send(method, url, { body, signal });
  try {
    return parse(await reply.text());
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, t("the answer broke off or is not JSON"), `${method} ${url}`);
  }
}

/** The answer as it arrives, its sentences in the reader's language; raises `ApiError` unless it is a success. */
export async function send(method, url, { body, signal } = {}) {
  const where = `${method} ${url}`;
  const sent = key.value;
  const asked = { "Accept-Language": language.peek() };
  const headers = sent ? { ...asked, Authorization: `Bearer ${sent}` } : asked;
  const options = {
    method,
    headers,
    signal,
    body,
    credentials: "omit",
    cache: "no-store",
    redirect: "error",
  };
  let reply;
  try {
    reply = await fetch(url, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, t("the server did not answer"), where);
  }
  if (reply.ok) return reply;
  const { error, key: name, role, expressible_in: form } = await readError(reply);
  if (sent === key.value) heed(reply.status, role);
  throw new ApiError(reply.status, role ? tellLack({ name, role }) : error, where, form === "binary");
}

/** A key of this name does not have the role, in the reader's language. */
export const tellLack = ({ name, role }) => t("The key {name} does not have the role {role}.", { name, role });

/** What the answer says of the key that is sent: only without a known one nothing can be shown. */
function heed(status, role) {
  if (status === 401) needsKey.value = true;
  if (role) loseRole(role);
}

async function readError(reply) {
  const text = await reply.text().catch(() => "");
  try {
    const content = JSON.parse(text);
    if (typeof content.error === "string" && content.error) return content;
  } catch {
    // not the server's own words, but a proxy's
  }
  return { error: t("the answer has status {status}", { status: reply.status }) };
}

const get = (url, signal) => request("GET", url, { signal });
const post = (url, content, signal) => request("POST", url, { body: JSON.stringify(content), signal });
const versioned = (name, version) =>
  version === undefined ? path`/v2/models/${name}` : path`/v2/models/${name}/versions/${version}`;

/** A version's inputs, outputs, parity and description. */
export const readMetadata = (name, version, signal) => get(versioned(name, version), signal);

/** Load the model, or load it again. */
export const loadModel = (name) => post(path`/v2/repository/models/${name}/load`, {});

/** Unload the model. */
export const unloadModel = (name) => post(path`/v2/repository/models/${name}/unload`, {});

/** Point the alias at the version. */
export const setAlias = (name, alias, version) =>
  request("PUT", path`/adaptact/v1/models/${name}/aliases/${alias}`, { body: JSON.stringify({ version }) });

/** Remove the alias. */
export const removeAlias = (name, alias) =>
  request("DELETE", path`/adaptact/v1/models/${name}/aliases/${alias}`);

/** Every model by name: `{name, versions, aliases, default}`: the version of each alias, and the default's or null. */
export async function readModels(signal) {
  const { models: versions } = await get("/adaptact/v1/models", signal);
  return [...Map.groupBy(versions, ({ name }) => name)].map(([name, own]) => ({
    name,
    versions: own,
    aliases: Object.fromEntries(
      own.flatMap(({ aliases, version }) => aliases.map((alias) => [alias, version])),
    ),
    default: own.find((version) => version.is_default)?.version ?? null,
  }));
}

/** Who asks and what they may do: `{name, roles, has_key, needs_key, experiments, audit}`. */
export const readReader = (signal) => get("/adaptact/v1/me", signal);

/** What the version's file says: `{manifest}`, null where adaptact did not write it. */
export const readEvidence = async (name, version, signal) => ({
  manifest: await getIfThere(`${versioned(name, version)}/manifest`, signal),
});

/** How the version's live values compare with those at export; null where the server does not watch it. */
export const readDrift = (name, version, signal) =>
  getIfThere(path`/adaptact/v1/models/${name}/versions/${version}/drift`, signal);

/** What every version's drift comes to, in short; none where the server watches none. */
export const readDrifts = async (signal) => (await getIfThere("/adaptact/v1/drift", signal))?.models || [];

async function getIfThere(url, signal) {
  try {
    return await get(url, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** The model's answer to a request of the page that tries it, its whole numbers exact. */
export const askModel = ({ url, body }) => request("POST", url, { body, parse: parseExactly });

const experiment = (name) => path`/adaptact/v1/experiments/${name}`;
const query = (values) => new URLSearchParams(values).toString();

/** Every experiment: its definition, its phase, and what can be done with it. */
export const readExperiments = async (signal) => (await get("/adaptact/v1/experiments", signal)).experiments;

/** All that is known of one experiment; null where there is none of this name. */
export async function readExperiment(name, signal) {
  const own = experiment(name);
  const known = await getIfThere(own, signal); // asked alone, since no other request is answered without it
  if (!known) return null;
  const [results, { looks }, phases, { entries }] = await Promise.all([
    get(`${own}/results`, signal),
    get(`${own}/looks`, signal),
    get(`${own}/phases`, signal),
    get(`${own}/audit`, signal),
  ]);
  return { known, results, looks, phases, trail: entries };
}

/** What the experiment will show, under these assumptions. */
export const planExperiment = (name, assumptions) => get(`${experiment(name)}/plan?${query(assumptions)}`);

/** The same for a definition that is not stored. */
export const planDefinition = (definition, assumptions) =>
  post(`/adaptact/v1/experiments:plan?${query(assumptions)}`, definition);

/** Store the definition as a draft. */
export const defineExperiment = (definition) =>
  request("PUT", experiment(definition.name), { body: JSON.stringify(definition) });

/** Start, advance, pause, resume, stop or promote the experiment. */
export const changeExperiment = (name, act, content) => post(`${experiment(name)}:${act}`, content);

/** The last actions of the audit log that are `wanted: {text, outcome}`, or those before the place of an earlier answer. */
export function readAudit({ text, outcome }, before, signal) {
  const given = Object.entries({ text: text.trim(), outcome, before }).filter(([, value]) => value);
  return get(`/adaptact/v1/audit?${query({ limit: 200, ...Object.fromEntries(given) })}`, signal);
}
