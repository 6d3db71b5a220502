/** The console starts here. */

import { startLanguage } from "./language.js";
import { Shell } from "./shell.js";
import { startTheme } from "./theme.js";
import { html, render } from "./view.js";

startTheme();
await startLanguage();
render(html`<${Shell} />`, document.getElementById("app"));
