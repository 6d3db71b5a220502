/** The page that asks for a key, in the place of a page that needs one. */

import { PageHeading } from "../components/heading.js";
import { Told } from "../components/told.js";
import { t } from "../language.js";
import { key, signIn } from "../session.js";
import { html, useId, useState } from "../view.js";

/** `refusal` is the server's answer that made it necessary, if there was one. */
export function SignIn({ refusal }) {
  const [secret, setSecret] = useState("");
  const field = useId();
  function submit(event) {
    event.preventDefault();
    if (secret.trim()) signIn(secret);
  }
  return html`
    <div class="sign-in">
      <${PageHeading} title=${t("Sign in")} takesFocus=${false} />
      <${Reason} refusal=${refusal} />
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

function Reason({ refusal }) {
  if (!refusal)
    return html`<p>${t("This server needs a key. Its administrator makes one with adaptact key.")}</p>`;
  const isUnknown = refusal.status === 401 && key.value;
  const text = isUnknown ? t("This server does not know the key.") : refusal.message;
  return html`<p role="alert" class="failure-what"><${Told} text=${text} /></p>`;
}
