// One card for each source: what it does, since when, how loud it is right now, and what is wrong.

import { Coverage } from "./coverage.js";
import { element, icon, outside, recBadge, setText } from "./dom.js";
import { choose, linkTo } from "./filter.js";
import { age, count, moment, size } from "./format.js";
import { Meter } from "./meter.js";

const STATES = {
  recording: ["recording", "Recording"],
  starting: ["working", "Starting"],
  stopping: ["working", "Stopping"],
  stopped: ["stopped", "Stopped"],
  reconnecting: ["working", "Reconnecting"],
  stalled: ["warning", "Stalled: no audio arrives"],
  error: ["error", "Error"],
  disk_full: ["warning", "Disk full"],
};
const SINCE = { recording: "since", stopped: "since", reconnecting: "trying since", stalled: "since" };
const LATE_S = 5;

const list = document.getElementById("sources");
const note = document.getElementById("sources-note");
const announce = document.getElementById("announce");
const cards = new Map();
const states = new Map();
let known = []; // a recorder that was stopped takes its status with it

/** Show the sources of a status, or what is known of them; `lost`: it is an old one, nobody answers any more. */
export function showSources(status, lost = false) {
  const sources = Array.isArray(status.sources) ? status.sources : known;
  const running = Boolean(status.running) && !lost;
  for (const source of sources) {
    showCard(source, running, status.tz, lost ? "No contact" : "Not running");
    if (!running) cards.get(source.id).meter.show(null);
    else if (source.level) showLevel({ ...source.level, source: source.id, sound: source.sound }, status.age_s);
    else showLevel({ source: source.id, rms_dbfs: null });
  }
  for (const [id, card] of cards) {
    if (sources.some((source) => source.id === id)) continue;
    card.element.remove();
    cards.delete(id);
    states.delete(id);
  }
  note.hidden = sources.length > 0;
  setText(note, status.running ? "The configuration has no source yet." : "No source has reported yet.");
}

/** Show what a source has just heard, or heard `ageS` seconds ago; without a number, it hears nothing. */
export function showLevel(heard, ageS = 0) {
  const card = cards.get(heard.source);
  if (card === undefined) return;
  const isHeard = typeof heard.rms_dbfs === "number";
  card.meter.show(isHeard ? heard : null);
  if (isHeard) card.heardAt = performance.now() - Math.max(0, ageS ?? 0) * 1000;
  showAge(card);
}

/** Let the ages of the last samples go on. */
export function showAges() {
  for (const card of cards.values()) showAge(card);
}

function showAge(card) {
  const seconds = card.heardAt === null ? null : (performance.now() - card.heardAt) / 1000;
  setText(card.age, seconds === null ? "" : seconds < 2.5 ? "last sample now" : `last sample ${age(seconds)} ago`);
  card.age.classList.toggle("late", seconds !== null && seconds > LATE_S);
}

/** Say what there is of each source, with a way to its recordings; `status` tells whose cards are shown. */
export function showTotals(sources, status) {
  known = sources;
  if (!Array.isArray(status.sources)) showSources(status);
  for (const [id, card] of cards) {
    const found = sources.find((source) => source.id === id || source.id === `${status.agent}/${id}`);
    card.today.show(found?.today);
    card.total.hidden = !found?.segments;
    if (!found?.segments) continue;
    card.total.href = linkTo({ source: found.id });
    card.total.onclick = (event) => show(event, found.id);
    setText(card.total, `${count(found.segments, "recording")}, ${size(found.bytes)}`);
  }
}

/** Show the recordings of a source, here and not in another window. */
function show(event, id) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose({ source: id, day: null, loud: null });
  document.getElementById("files-title").focus();
}

function showCard(source, running, zone, instead) {
  const { name, state, since, title, last_error: fault } = source;
  const facts = JSON.stringify([name, state, since, title, fault, running, zone, instead]);
  let card = cards.get(source.id);
  if (card === undefined) {
    card = newCard(source);
    cards.set(source.id, card);
    list.append(card.element);
  }
  if (card.facts === facts) return;
  card.facts = facts;
  fillCard(card, source, running, zone, instead);
  tell(source, running ? state : instead);
}

function newCard(source) {
  const card = { facts: null, heardAt: null, meter: new Meter(source.name || source.id), today: new Coverage() };
  Object.assign(card, { name: element("div", "name"), state: element("p", "state"), notes: element("div", "notes") });
  Object.assign(card, { age: element("span", "age"), total: element("a", "total") });
  card.total.hidden = true;
  const foot = element("p", "foot muted", card.total, card.age);
  card.element = element("li", "card", card.name, card.state, card.meter.element, card.today.element, card.notes, foot);
  card.element.dataset.source = source.id;
  return card;
}

function fillCard(card, source, running, zone, instead) {
  const [symbol, words] = running ? STATES[source.state] ?? ["unknown", String(source.state)] : ["unknown", instead];
  const recording = running && source.state === "recording";
  const since = moment(source.since, zone);
  const when = running ? SINCE[source.state] ?? "since" : `last known: ${source.state}, since`;
  card.name.replaceChildren(element("h3", "", outside(source.name || source.id)), ...(recording ? [recBadge()] : []));
  card.state.className = `state ${running ? source.state : "unknown"}`;
  card.state.replaceChildren(icon(symbol), element("span", "", words, since ? element("span", "since", ` ${when} ${since}`) : null));
  card.notes.replaceChildren(
    ...[
      source.title ? element("p", "title", "♪ ", outside(source.title)) : null,
      source.last_error ? element("p", "fault", "Last error: ", outside(source.last_error)) : null,
    ].filter(Boolean),
  );
}

/** Tell screen readers of a change of state, and of nothing else. */
function tell(source, state) {
  const before = states.get(source.id);
  states.set(source.id, state);
  if (before !== undefined && before !== state) {
    announce.textContent = `${source.name || source.id}: ${STATES[state]?.[1] ?? state}`;
  }
}
