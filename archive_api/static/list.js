// The list of recordings: fetches pages of it as they are asked for, keeps the newest up to date, and says so where
// there is nothing to show.

import { fetchGaps, fetchSegments } from "./api.js";
import { element, setText } from "./dom.js";
import { chooseAll, chosen, isChosen, parameters, zoneOf } from "./filter.js";
import { count as words, day as dayWords } from "./format.js";
import { EMPTY, extended, PAGE, refreshed, woven } from "./pages.js";
import { focusRow, showRows } from "./rows.js";

const table = document.getElementById("files");
const note = document.getElementById("files-note");
const count = document.getElementById("count");
const more = document.getElementById("more");
const top = document.getElementById("newest");

let held = EMPTY;
let gaps = []; // of the chosen day
let isFetched = false;
let view = 0; // another choice makes answers to the one before worthless
let running = false;
let sources = [];

const page = (cursor) => fetchSegments({ ...parameters(), order: "desc", limit: PAGE, cursor });

/** Fetch the newest page again. Raises ApiError. */
export async function refresh() {
  const wanted = view;
  if (!held.top) return;
  const { source, from, to, loud } = parameters();
  const isDay = from !== null && loud === null;
  const [fresh, lost] = await Promise.all([page(null), isDay ? fetchGaps({ source, from, to, limit: 1000 }) : { items: [] }]);
  if (wanted !== view) return;
  gaps = lost.items.map((gap) => ({ ...gap, tz: zoneOf() }));
  held = refreshed(isFetched ? held : EMPTY, fresh);
  isFetched = true;
  render();
}

/** Show the list anew for what is chosen now. */
export async function choose() {
  view += 1;
  held = EMPTY;
  gaps = [];
  isFetched = false;
  table.setAttribute("aria-busy", "true");
  try {
    await refresh();
  } catch (error) {
    showProblem(error);
  }
}

/** What is known of the recorder and of the sources, for the words around the list. */
export function tell(isRunning, known) {
  running = isRunning;
  sources = known ?? sources;
  if (isFetched) renderWords();
}

/** Render again: names have changed. */
export function rename() {
  if (isFetched) render();
}

/** Say why there is no list, where none is shown. */
export function showProblem(problem) {
  if (isFetched && held.items.length > 0) return;
  table.hidden = true;
  delete note.dataset.told;
  const hint = problem.hint ? ` ${problem.hint}` : "";
  const ways = [button("Try again", choose), ...(isChosen() ? [" ", button("Show all recordings", chooseAll)] : [])];
  say("The list cannot be shown", problem.message, hint, element("div", "", ...ways));
}

function button(text, act) {
  const made = element("button", "", text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

function render() {
  table.removeAttribute("aria-busy");
  const items = woven(held, gaps);
  showRows(items);
  table.hidden = items.length === 0;
  if (held.items.length > 0) note.hidden = true;
  more.hidden = held.next === null;
  top.hidden = held.top;
  renderWords();
}

function renderWords() {
  setText(count, counted());
  setText(more, `Show ${PAGE} more`);
  if (held.items.length === 0) showEmpty();
}

/** How many there are, as far as that is known. */
function counted() {
  const { source, day, loud } = chosen();
  const shown = held.items.length;
  if (shown === 0) return "";
  if (held.next === null && held.top) return words(shown, "recording");
  const known = sources.filter(({ id }) => source === null || id === source);
  const total = known.reduce((sum, { segments }) => sum + (segments ?? 0), 0);
  if (day === null && loud === null && total > shown) return `${shown} of ${words(total, "recording")}`;
  return `${words(shown, "recording")}, and more`;
}

function showEmpty() {
  const { source, day, loud } = chosen();
  const name = sources.find(({ id }) => id === source)?.name ?? source;
  const parts = [loud && "with loud sections", source && `of ${name}`, day && `on ${dayWords(day)}`].filter(Boolean);
  const told = [parts.join(" "), running].join();
  if (note.dataset.told === told && !note.hidden) return;
  note.dataset.told = told;
  if (isChosen()) say(`No recordings ${parts.join(" ")}`, element("div", "", button("Show all recordings", chooseAll)));
  else if (running) say("No recordings yet", "The recorder runs. As soon as a source records, its recording appears here.");
  else say("No recordings yet", "Start the recorder with ", element("code", "", "isr-agent run"), "; what it records appears here at once.");
}

function say(title, ...rest) {
  note.replaceChildren(element("strong", "", title), ...rest);
  note.hidden = false;
}

more.addEventListener("click", async () => {
  const wanted = view;
  more.disabled = true;
  try {
    const next = await page(held.next);
    if (wanted !== view) return;
    held = extended(held, next);
    render();
    if (next.items.length > 0) focusRow(next.items[0]);
  } catch (error) {
    setText(more, `${error.message} Try again`);
  } finally {
    more.disabled = false;
  }
});

top.addEventListener("click", async () => {
  await choose();
  document.getElementById("files-title").focus();
});
