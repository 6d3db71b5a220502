/** An image, dropped or chosen, for a model that says how an image becomes its input. */

import { formatBytes, t } from "../../language.js";
import { html, useEffect, useId, useRef, useState } from "../../view.js";
import { requestInstances } from "./request.js";

const TYPES = ["image/png", "image/jpeg"];
const MOST_BYTES = 32 * 1024 * 1024;

/** Calls `set(request)` once an image is there. */
export function ImageForm({ target, set }) {
  const [image, setImage] = useState(null);
  const [isOver, setOver] = useState(false);
  const newest = useRef(null); // the file that was chosen last: a larger one before it may be read later
  const id = useId();
  useEffect(() => {
    set(null, t("choose an image"));
    return () => {
      newest.current = null;
    };
  }, []);
  useEffect(() => () => image && URL.revokeObjectURL(image.url), [image]);
  async function take(file) {
    if (!file) return;
    newest.current = file;
    const problem = findProblem(file);
    setImage(problem ? null : { url: URL.createObjectURL(file), name: file.name, bytes: file.size });
    set(null, problem || "");
    if (problem) return;
    const read = await readBase64(file).catch(() => null);
    if (newest.current !== file) return;
    if (read === null) set(null, t("{name} cannot be read", { name: file.name }));
    else set(requestInstances(target, [{ b64: read }]));
  }
  const hover = (value) => (event) => {
    event.preventDefault();
    setOver(value);
  };
  return html`
    <div class=${isOver ? "drop is-over" : "drop"} onDragOver=${hover(true)} onDragLeave=${hover(false)}
      onDrop=${(event) => {
        hover(false)(event);
        take(event.dataTransfer.files[0]);
      }}>
      ${
        image
          ? html`
              <img src=${image.url} alt=${t("The image that was chosen")} />
              <p class="hint"><bdi>${image.name}</bdi>, ${formatBytes(image.bytes)}</p>
            `
          : html`<p>${t("Drop an image here")}</p>`
      }
      <label class="button" for=${id}>${image ? t("Choose another") : t("Choose a file")}</label>
      <input id=${id} class="hidden" type="file" accept=${TYPES.join(",")}
        onChange=${(event) => take(event.target.files[0])} />
      <p class="hint">${t("PNG or JPEG")}</p>
    </div>
  `;
}

function findProblem(file) {
  if (!TYPES.includes(file.type)) return t("{name} is neither PNG nor JPEG", { name: file.name });
  if (file.size > MOST_BYTES)
    return t("{name} is larger than {limit}", { name: file.name, limit: formatBytes(MOST_BYTES) });
  return null;
}

function readBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
