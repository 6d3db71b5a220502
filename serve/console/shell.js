/** What is around every page: the menu, the language, the theme, the key; and the choice of the page. */

import { ApiError, readReader } from "./api.js";
import { PageHeading } from "./components/heading.js";
import { Loaded, useResource } from "./components/resource.js";
import { StatusLine } from "./components/status.js";
import { LANGUAGES, chooseLanguage, formatList, language, t } from "./language.js";
import { findPage, listOffered, nameInMenu } from "./pages/index.js";
import { Refused } from "./pages/refused.js";
import { SignIn } from "./pages/sign-in.js";
import { link, route } from "./routes.js";
import { can, entries, key, needsKey, reader, signOut } from "./session.js";
import { switchTheme, theme } from "./theme.js";
import { html } from "./view.js";

/** The whole console. */
export function Shell() {
  return html`
    <a class="skip-link" href="#main" onClick=${skipToContent}>${t("Skip to the content")}</a>
    <${Header} />
    <main id="main" tabindex="-1"><${Content} key=${language.value} /></main>
    <${StatusLine} />
  `;
}

function skipToContent(event) {
  event.preventDefault(); // the address names the page
  document.getElementById("main").focus();
}

function Header() {
  const offered = listOffered(reader.value, can);
  return html`
    <header class="top">
      <a class="brand" href=${link()}>
        <img src="/console/icon.svg" alt="" width="24" height="24" />adaptact
      </a>
      <nav aria-label=${t("Pages")}>
        <ul>
          ${offered.map((page) => html`<${MenuEntry} key=${page.name} page=${page} />`)}
        </ul>
      </nav>
      <div class="choices">
        <${LanguageChoice} />
        <${ThemeSwitch} />
        <${KeyState} />
      </div>
    </header>
  `;
}

function MenuEntry({ page }) {
  const shown = findPage(chooseParts() || []);
  const isCurrent = page.name === (shown?.under ?? shown?.name);
  return html`<li><a href=${link(page.name)} aria-current=${isCurrent ? "page" : null}>${page.title()}</a></li>`;
}

function LanguageChoice() {
  return html`
    <label class="language">
      <span class="hidden">${t("Language")}</span>
      <select value=${language.value} onChange=${(event) => chooseLanguage(event.target.value)}>
        ${Object.entries(LANGUAGES).map(
          ([tag, name]) => html`<option key=${tag} value=${tag} lang=${tag}>${name}</option>`,
        )}
      </select>
    </label>
  `;
}

function ThemeSwitch() {
  const name = theme.value === "dark" ? t("Show light colours") : t("Show dark colours");
  return html`
    <button type="button" class="icon-button" aria-label=${name} title=${name} onClick=${switchTheme}>
      <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
        <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" />
        <path d="M8 1.5a6.5 6.5 0 0 1 0 13z" fill="currentColor" />
      </svg>
    </button>
  `;
}

function KeyState() {
  if (!key.value || needsKey.value) return null;
  const name = reader.value?.name;
  const title = name && t("Signed in as {name}", { name });
  return html`<button type="button" class="quiet" title=${title} onClick=${signOut}>${t("Sign out")}</button>`;
}

/** The page of the address, or the one to sign in; all anew for who signs in. */
function Content() {
  if (needsKey.value) return html`<${SignIn} problem=${key.value && t("This server does not know the key.")} />`;
  return html`<${Admitted} key=${entries.value} />`;
}

function Admitted() {
  const resource = useResource(async (signal) => {
    reader.value = await readReader(signal);
    return reader.value;
  }, []);
  return html`<${Loaded} resource=${resource}>${() => html`<${Chosen} />`}<//>`;
}

function Chosen() {
  const parts = chooseParts();
  const { has_key: hasKey, roles } = reader.value;
  if (!parts) return html`<${SignIn} problem=${hasKey && describeRoles(roles)} />`;
  const page = findPage(parts);
  if (!page)
    return html`<${PageHeading} key="none" title=${t("There is no such page")} /><p><a href=${link()}>${t("To the first page")}</a></p>`;
  const role = page.roles.find((needed) => !can(needed));
  if (role) {
    const isAlone = !listOffered(reader.value, can).length;
    return html`<${Refused} key=${parts.join("/")} ...${{ title: nameInMenu(page), role, isAlone }} />`;
  }
  return html`<${Page} key=${parts.join("/")} ...${{ page, parts }} />`;
}

/** The parts of the address, or else the first page that the reader may see; null for none. */
function chooseParts() {
  if (route.value.length) return reader.value?.roles.length ? route.value : null;
  const first = listOffered(reader.value, can)[0];
  return first ? [first.name] : null;
}

function describeRoles(roles) {
  return t("This key opens no page: its roles are {roles}", { roles: formatList(roles) });
}

function Page({ page, parts }) {
  const module = useResource(() => loadPage(page), [page]);
  return html`
    <${Loaded} resource=${module}>${({ Page: Shown }) => html`<${Shown} parts=${parts.slice(1)} />`}<//>
  `;
}

async function loadPage(page) {
  try {
    return await page.load();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the page's own fault
    throw new ApiError(0, t("the server did not answer"), location.pathname);
  }
}
