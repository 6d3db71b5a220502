/** The request to a model, and the same call as curl and as Python, to be copied. */

import { path } from "../../api.js";
import { writeExactly } from "../../json.js";
import { key } from "../../session.js";

const LONGEST_SHOWN = 4000; // characters of a body that stand in a command
const FILE = "request.json";
const DTYPES = { BOOL: "bool", FP16: "float16", FP32: "float32", FP64: "float64", BYTES: "object" };

/** `{url, body, isLong}` for tensors: `[{name, datatype, shape, data}]`. */
export function requestTensors(target, tensors) {
  return finish(`${versionPath("/v2", target)}/infer`, { inputs: tensors });
}

/** The same for instances: images, texts, rows. */
export function requestInstances(target, instances) {
  return finish(`${versionPath("/v1", target)}:predict`, { instances });
}

function versionPath(prefix, { name, version }) {
  return prefix + (version === undefined ? path`/models/${name}` : path`/models/${name}/versions/${version}`);
}

function finish(url, content) {
  const body = writeExactly(content);
  return { url, body, content, isLong: body.length > LONGEST_SHOWN };
}

/** The call as a command; a long body is in the file `request.json`, and the key in a variable, never in the text. */
export function writeCurl({ url, body, isLong }) {
  const lines = [`curl ${quoteShell(location.origin + url)}`];
  if (key.value) lines.push(`  -H "Authorization: Bearer $ADAPTACT_API_KEY"`);
  lines.push("  -H 'Content-Type: application/json'", `  -d ${isLong ? `@${FILE}` : quoteShell(body)}`);
  return lines.join(" \\\n");
}

const quoteShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The call in Python, by the client of adaptact. */
export function writePython(request, target) {
  const isTensors = "inputs" in request.content;
  const imports = [...(key.value ? ["import os"] : []), ...(request.isLong ? ["import json"] : [])];
  const modules = [...(isTensors ? ["import numpy as np"] : []), "from serve.client import Client"];
  const options = [
    quotePython(location.origin),
    ...(key.value ? [`api_key=os.environ["ADAPTACT_API_KEY"]`] : []),
  ];
  const read = request.isLong ? [`content = json.load(open("${FILE}"))`, ""] : [];
  const call = isTensors ? writeInfer(request, target) : writePredict(request, target);
  return [
    ...imports,
    ...(imports.length ? [""] : []),
    ...modules,
    "",
    ...read,
    `with Client(${options.join(", ")}) as client:`,
    ...call,
  ].join("\n");
}

function writeInfer({ content, isLong }, { name, version }) {
  const inputs = content.inputs.map(({ name: input, datatype, shape, data }, place) => {
    const values = isLong ? `content["inputs"][${place}]["data"]` : writePythonValue(data);
    const dtype = DTYPES[datatype] || datatype.toLowerCase();
    return `        ${quotePython(input)}: np.array(${values}, "${dtype}").reshape(${writePythonValue(shape)}),`;
  });
  const options = version === undefined ? "" : `, version=${quotePython(version)}`;
  return [
    "    inputs = {",
    ...inputs,
    "    }",
    `    print(client.infer(${quotePython(name)}, inputs${options}).outputs)`,
  ];
}

function writePredict({ content, isLong }, { name, version }) {
  const instances = isLong ? 'content["instances"]' : writePythonValue(content.instances);
  const options = version === undefined ? "" : `, ${quotePython(version)}`;
  return [
    `    answer = client.predict(${quotePython(name)}, ${instances}${options})`,
    "    print(answer.labels, answer.predictions)",
  ];
}

const quotePython = (text) => JSON.stringify(text);

function writePythonValue(value) {
  if (Array.isArray(value)) return `[${value.map(writePythonValue).join(", ")}]`;
  if (value && typeof value === "object")
    return `{${Object.entries(value)
      .map(([name, inner]) => `${quotePython(name)}: ${writePythonValue(inner)}`)
      .join(", ")}}`;
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number" && !Number.isFinite(value)) return `float("${value}")`;
  return value === null ? "None" : writeExactly(value);
}
