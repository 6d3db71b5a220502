/** The pages: the first part of the address, how many parts may follow it, and the module that shows it. */

import { t } from "../language.js";

/**
 * `isFor(reader, can)` says whether the menu offers the page to this reader; one that it does not still answers.
 * `under` names the page of the menu that a page belongs to, if that has another name.
 */
export const PAGES = [
  {
    name: "models",
    parts: [0],
    isInMenu: true,
    isFor: (reader, can) => can("infer"),
    title: () => t("Models"),
    load: () => import("./models.js"),
  },
  { name: "models", parts: [1, 2], load: () => import("./model.js") },
  { name: "try", parts: [1, 2], under: "models", load: () => import("./try.js") },
  {
    name: "live",
    parts: [0],
    isInMenu: true,
    isFor: (reader, can) => can("metrics"),
    title: () => t("Live"),
    load: () => import("./live.js"),
  },
  {
    name: "experiments",
    parts: [0],
    isInMenu: true,
    isFor: (reader, can) => can("metrics") && reader.experiments,
    title: () => t("Experiments"),
    load: () => import("./experiments.js"),
  },
  { name: "experiments", parts: [1], load: () => import("./experiment.js") },
  { name: "plan", parts: [0], under: "experiments", load: () => import("./plan.js") },
  {
    name: "audit",
    parts: [0],
    isInMenu: true,
    isFor: (reader, can) => can("admin") && reader.audit,
    title: () => t("Audit"),
    load: () => import("./audit.js"),
  },
];

/** The pages that the menu offers to this reader. */
export const listOffered = (reader, can) => PAGES.filter((page) => page.isInMenu && page.isFor(reader, can));

/** The page of the address; undefined for none. */
export function findPage([name, ...rest]) {
  return PAGES.find((page) => page.name === name && page.parts.includes(rest.length));
}
