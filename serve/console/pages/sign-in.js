/** The page that asks for a key, in the place of a page that needs one. */

import { PageHeading } from "../components/heading.js";
import { t } from "../language.js";
import { signIn } from "../session.js";
import { html, useId, useState } from "../view.js";

/** `problem` is what is wrong with the key that was sent, if there was one. */
export function SignIn({ problem }) {
  const [secret, setSecret] = useState("");
  const field = useId();
  function submit(event) {
    event.preventDefault();
    if (secret.trim()) signIn(secret);
  }
  return html`
    <div class="sign-in">
      <${PageHeading} title=${t("Sign in")} takesFocus=${false} />
      <${Reason} problem=${problem} />
      <form onSubmit=${submit}>
        <label for=${field}>${t("Key")}</label>
        <input id=${field} type="password" autocomplete="off" spellcheck=${false} maxlength="512" required autofocus
          value=${secret} onInput=${(event) => setSecret(event.target.value)} />
        <button type="submit" class="primary">${t("Sign in")}</button>
      </form>
      <p class="note">${t("The key stays in this tab and is forgotten when you sign out or close it.")}</p>
    </div>
  `;
}

function Reason({ problem }) {
  if (!problem)
    return html`<p>${t("This server needs a key. Its administrator makes one with adaptact key.")}</p>`;
  return html`<p role="alert" class="failure-what">${problem}</p>`;
}
