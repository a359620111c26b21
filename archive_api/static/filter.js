// Which recordings are shown: of one source, of one day, only loud ones. The choice stands in the address, so that a
// link opens the same view.

import { element, setText } from "./dom.js";
import { dayBeside, isDay, local, startOfDay } from "./zone.js";

const source = document.getElementById("filter-source");
const day = document.getElementById("filter-day");
const loud = document.getElementById("filter-loud");
const before = document.getElementById("day-before");
const after = document.getElementById("day-after");
const all = document.getElementById("filter-all");

let zone = "UTC";
let options = "";
let changed = () => {};
let shown = "";

/** What is chosen: `{ source, day, loud }`; null where nothing is. */
export function chosen() {
  const told = new URLSearchParams(location.search);
  return {
    source: told.get("source") || null,
    day: isDay(told.get("day") ?? "") ? told.get("day") : null,
    loud: told.get("loud") === "1" ? "1" : null,
  };
}

const isAll = (choice) => Object.values(choice).every((value) => value === null);
export const isChosen = () => !isAll(chosen());

/** The zone whose days count. */
export const zoneOf = () => zone;

/** The choice as parameters of the list. A day is the box's own, from its midnight to the next. */
export function parameters() {
  const { source: id, day: date, loud: only } = chosen();
  const from = date && startOfDay(date, zone);
  const to = date && startOfDay(dayBeside(date), zone);
  return { source: id, from, to, loud: only };
}

/** The address of a view. */
export function linkTo(choice) {
  const told = Object.entries(choice).filter(([, value]) => value !== null);
  return `?${new URLSearchParams(told)}`;
}

/** Call `tell` when another view is chosen, here or by the address. */
export function onChoice(tell) {
  changed = tell;
}

/** The sources that there are to choose from, and the zone whose days count. */
export function offer(sources, boxZone) {
  const isOther = zone !== boxZone && boxZone;
  if (isOther) zone = boxZone;
  const told = JSON.stringify(sources.map(({ id, name }) => [id, name]));
  if (told !== options) {
    options = told;
    source.replaceChildren(option("", "All sources"), ...sources.map(({ id, name, source: plain }) => option(id, name || plain || id)));
  }
  show();
  if (isOther && chosen().day !== null) changed();
}

function option(value, text) {
  const made = element("option", "", text);
  made.value = value;
  return made;
}

/** Bring the fields in line with the address. */
function show() {
  const choice = chosen();
  shown = linkTo(choice);
  if (choice.source !== null && ![...source.options].some(({ value }) => value === choice.source)) {
    source.append(option(choice.source, choice.source));
  }
  source.value = choice.source ?? "";
  if (document.activeElement !== day || choice.day !== null) day.value = choice.day ?? "";
  loud.checked = choice.loud !== null;
  all.hidden = !isChosen();
  const today = local(Date.now(), zone).day;
  day.max = today;
  setText(before, choice.day === null ? "Today" : "Day before");
  after.hidden = choice.day === null || choice.day >= today;
}

/** Choose something else; what is not named stays as it is. */
export function choose(change) {
  const choice = { ...chosen(), ...change };
  if (linkTo(choice) === linkTo(chosen())) return;
  history.pushState(null, "", isAll(choice) ? location.pathname : linkTo(choice));
  show();
  changed();
}

/** Show everything. */
export function chooseAll() {
  choose({ source: null, day: null, loud: null });
}

source.addEventListener("change", () => choose({ source: source.value || null }));
loud.addEventListener("change", () => choose({ loud: loud.checked ? "1" : null }));
// While a date is typed, the field is empty or far away in between.
day.addEventListener("change", () => {
  if (day.value === "" || day.value >= "1970-01-02") choose({ day: day.value || null });
});
before.addEventListener("click", () => {
  const { day: date } = chosen();
  choose({ day: date === null ? local(Date.now(), zone).day : dayBeside(date, -1) });
});
after.addEventListener("click", () => choose({ day: dayBeside(chosen().day, 1) }));
all.addEventListener("click", () => {
  chooseAll();
  source.focus();
});
window.addEventListener("popstate", () => {
  if (shown === linkTo(chosen())) return; // only the anchor is another
  show();
  changed();
});
