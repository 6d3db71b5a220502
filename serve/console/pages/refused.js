/** In the place of a page that the reader may not see; all others go on. */

import { tellLack } from "../api.js";
import { PageHeading } from "../components/heading.js";
import { t } from "../language.js";
import { link } from "../routes.js";
import { reader } from "../session.js";
import { html } from "../view.js";
import { SignIn } from "./sign-in.js";

/** The page of this title needs the role; `isAlone` where there is none that the reader may see. */
export function Refused({ title, role, isAlone }) {
  const { name, has_key: hasKey, needs_key: needsKey } = reader.value;
  if (needsKey && !hasKey) return html`<${SignIn} />`;
  return html`
    <${PageHeading} title=${title} />
    <div class="failure" role="alert">
      <p class="failure-what">${hasKey ? tellLack({ name, role }) : t("Without a key this is shown on the server's own machine only.")}</p>
      <p>${
        hasKey
          ? t("Sign in with a key that has the role, or ask an administrator for one.")
          : t("Open the console there, under localhost or a numeric address, or start the server with --keys.")
      }</p>
      ${!isAlone && html`<p><a href=${link()}>${t("To the first page")}</a></p>`}
    </div>
  `;
}
