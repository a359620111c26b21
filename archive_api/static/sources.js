// One card for each source: what it does, since when, and what is wrong.

import { element, icon, outside, recBadge, setText } from "./dom.js";
import { knownZone, moment } from "./format.js";

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
const SINCE = { recording: "Recording since", stopped: "Stopped since", reconnecting: "Trying since", stalled: "Since" };

const list = document.getElementById("sources");
const note = document.getElementById("sources-note");
const announce = document.getElementById("announce");
const cards = new Map();
const states = new Map();

/** Show the sources of a status; `lost` says that it is an old one, because nobody answers any more. */
export function showSources(status, lost = false) {
  const sources = Array.isArray(status.sources) ? status.sources : [];
  const zone = knownZone(status.tz);
  for (const source of sources) showCard(source, status.running && !lost, zone, lost ? "No contact" : "Not running");
  for (const [id, card] of cards) {
    if (sources.some((source) => source.id === id)) continue;
    card.element.remove();
    cards.delete(id);
    states.delete(id);
  }
  note.hidden = sources.length > 0;
  setText(note, status.running ? "The configuration has no source yet." : "No source has reported yet.");
}

function showCard(source, running, zone, instead) {
  const { name, state, since, title, last_error: fault } = source;
  const facts = JSON.stringify([name, state, since, title, fault, running, zone, instead]);
  let card = cards.get(source.id);
  if (card === undefined) {
    card = { element: element("li", "card"), facts: null };
    card.element.dataset.source = source.id;
    cards.set(source.id, card);
    list.append(card.element);
  }
  if (card.facts === facts) return;
  card.facts = facts;
  card.element.replaceChildren(...cardParts(source, running, zone, instead));
  tell(source, running ? state : instead);
}

function cardParts(source, running, zone, instead) {
  const recording = running && source.state === "recording";
  const [symbol, words] = running ? STATES[source.state] ?? ["unknown", String(source.state)] : ["unknown", instead];
  const name = element("div", "name", element("h3", "", outside(source.name || source.id)), recording ? recBadge() : null);
  const state = element("p", `state ${running ? source.state : "unknown"}`, icon(symbol), words);
  const since = moment(source.since, zone);
  const when = running ? SINCE[source.state] ?? "Since" : `Last known: ${source.state}, since`;
  return [
    name,
    state,
    since ? element("p", "muted", `${when} ${since}`) : null,
    source.title ? element("p", "title", "♪ ", outside(source.title)) : null,
    source.last_error ? element("p", "fault", "Last error: ", outside(source.last_error)) : null,
  ].filter((part) => part !== null);
}

/** Tell screen readers of a change of state, and of nothing else. */
function tell(source, state) {
  const before = states.get(source.id);
  states.set(source.id, state);
  if (before !== undefined && before !== state) {
    announce.textContent = `${source.name || source.id}: ${STATES[state]?.[1] ?? state}`;
  }
}
