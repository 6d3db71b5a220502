/** The pages: the first part of the address, how many parts may follow it, and the module that shows it. */

import { t } from "../language.js";

/**
 * `roles` are those that the page needs, all of them. The menu offers the pages with a title, to those who have the
 * roles and where the server has what the page shows, as `isThere(reader)` says; any other still answers.
 * `under` names the page of the menu that a page belongs to, if that has another name.
 */
export const PAGES = [
  {
    name: "models",
    parts: [0],
    roles: ["infer"],
    title: () => t("Models"),
    load: () => import("./models.js"),
  },
  { name: "models", parts: [1, 2], roles: ["infer"], load: () => import("./model.js") },
  { name: "try", parts: [1, 2], roles: ["infer"], under: "models", load: () => import("./try.js") },
  {
    name: "live",
    parts: [0],
    roles: ["metrics"],
    title: () => t("Live"),
    load: () => import("./live.js"),
  },
  {
    name: "experiments",
    parts: [0],
    roles: ["metrics"],
    isThere: ({ experiments }) => experiments,
    title: () => t("Experiments"),
    load: () => import("./experiments.js"),
  },
  { name: "experiments", parts: [1], roles: ["metrics"], load: () => import("./experiment.js") },
  {
    name: "plan",
    parts: [0],
    roles: ["infer", "metrics"],
    under: "experiments",
    load: () => import("./plan.js"),
  },
  {
    name: "audit",
    parts: [0],
    roles: ["admin"],
    isThere: ({ audit }) => audit,
    title: () => t("Audit"),
    load: () => import("./audit.js"),
  },
];

/** The pages that the menu offers to this reader. */
export const listOffered = (reader, can) =>
  PAGES.filter(({ title, roles, isThere }) => title && roles.every(can) && (isThere?.(reader) ?? true));

/** The page of the address; undefined for none. */
export function findPage([name, ...rest]) {
  return PAGES.find((page) => page.name === name && page.parts.includes(rest.length));
}

/** The title of the page in the menu, or of the one that it belongs to. */
export function nameInMenu({ name, under = name }) {
  return PAGES.find((page) => page.name === under && page.title).title();
}
