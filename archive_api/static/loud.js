// The loud sections of what is loaded: found by the archive, drawn as a waveform, listed as buttons.

import { fetchAnalysis } from "./api.js";
import { element, setText } from "./dom.js";
import * as format from "./format.js";
import { audio, lengthS, loaded, loadedName, seek } from "./player.js";
import { isOurs, startOf } from "./rows.js";
import { amplitudeOf, dbfsOf, neighbour } from "./scale.js";
import { Waveform } from "./waveform.js";
import { local } from "./zone.js";

const CHANGED_MS = 300; // so long nobody moves the threshold before it is asked for
const AGAIN_MS = 5000; // a recording that has just begun, or an archive that is busy
const LISTED = 200;

const field = document.getElementById("threshold");
const fieldWords = document.getElementById("threshold-words");
const note = document.getElementById("wave-note");
const summary = document.getElementById("loud-summary");
const list = document.getElementById("loud-list");
const before = document.getElementById("loud-before");
const after = document.getElementById("loud-after");
const waveform = new Waveform(document.getElementById("wave-canvas"));

let analysis = null;
let asking = null;
let timer = 0;

const thresholdDbfs = () => Number(field.value);
const thresholdWords = () => `${field.value.replace("-", "−")} dBFS`;

/** Look at what is loaded. The picture of before stays where it is the same recording. */
export function examine(isSame) {
  if (!isSame) analysis = null;
  ask();
}

/** Playing has moved, or somebody points at a time. */
export function place(pointer = null) {
  waveform.place(audio.currentTime, pointer);
}

/** The time of the recording at so many pixels from the left of the waveform. */
export const timeAt = (x) => waveform.timeAt(x);

/** Jump to the next loud section, or to the one before. */
export function jump(forward) {
  const section = analysis && neighbour(analysis.sections, audio.currentTime, forward);
  if (section) seek(section.start, true);
}

/** How a place is called: the clock's time where that is known, else the time since the begin. */
export function clockAt(item, seconds) {
  if (!isOurs(item)) return format.length(seconds);
  return local(Date.parse(item.start) + seconds * 1000, item.tz).time;
}

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const item = loaded();
  if (item === null) return;
  const given = (asking = new AbortController());
  measure();
  setText(note, "Reading levels…");
  note.className = "wave-note busy";
  try {
    const found = await fetchAnalysis(loadedName(), amplitudeOf(thresholdDbfs()), given.signal);
    if (given.signal.aborted) return;
    analysis = found;
    setText(note, "");
    note.className = "wave-note";
  } catch (error) {
    if (given.signal.aborted) return;
    const isSoon = error.status === 503 || error.status === 429;
    setText(note, isSoon ? error.message : `No waveform: ${error.message}`);
    note.className = `wave-note ${isSoon ? "busy" : "fault"}`;
    if (isSoon) timer = setTimeout(ask, AGAIN_MS);
  }
  asking = null;
  measure();
}

/** Draw what is known; to be called when the length has become known, or another. */
export function measure() {
  const item = loaded();
  const { time } = startOf(item);
  const offset = isOurs(item) ? Number(time.slice(3, 5)) * 60 + Number(time.slice(6)) : 0;
  const label = (seconds, step) => {
    const words = clockAt(item, seconds + 0.001);
    return step >= 60 && isOurs(item) ? words.slice(0, 5) : words;
  };
  const duration = Math.max(lengthS(), analysis?.duration ?? 0);
  waveform.show({ duration, offset, label, analysis });
  place();
  showSections(item);
}

function showSections(item) {
  const sections = analysis?.sections ?? [];
  const none = sections.length === 0;
  const words = none ? `No loud sections above ${thresholdWords()}` : `${format.count(sections.length, "loud section")} above ${thresholdWords()}`;
  setText(summary, analysis === null ? "" : words);
  before.disabled = none;
  after.disabled = none;
  const told = JSON.stringify([item.file, sections]);
  if (list.dataset.told === told) return;
  list.dataset.told = told;
  const left = sections.length - LISTED;
  const entries = sections.slice(0, LISTED).map((section) => element("li", "", entry(item, section)));
  if (left > 0) entries.push(element("li", "muted", `and ${left.toLocaleString("en-GB")} more; a higher threshold leaves fewer`));
  list.replaceChildren(...entries);
  list.hidden = none;
  mark();
}

function entry(item, section) {
  const length = format.seconds(section.end - section.start);
  const peak = `${format.level(dbfsOf(section.peak))} dBFS`;
  const made = element("button", "", element("b", "", clockAt(item, section.start)), ` ${length} `, element("span", "muted", peak));
  made.type = "button";
  made.setAttribute("aria-label", `${clockAt(item, section.start)}, ${length} long, ${peak}`);
  made.addEventListener("click", () => seek(section.start, true));
  return made;
}

/** Mark the section that is heard right now. */
export function mark() {
  const sections = analysis?.sections ?? [];
  const at = audio.currentTime + 0.05;
  const now = sections.slice(0, LISTED).findIndex(({ start, end }) => at >= start && at < end);
  const marked = list.querySelector("[aria-current]");
  const wanted = now < 0 ? null : list.children[now]?.firstElementChild ?? null;
  if (marked === wanted) return;
  marked?.removeAttribute("aria-current");
  wanted?.setAttribute("aria-current", "true");
}

field.addEventListener("input", () => {
  setText(fieldWords, thresholdWords());
  field.setAttribute("aria-valuetext", thresholdWords());
  clearTimeout(timer);
  timer = setTimeout(ask, CHANGED_MS);
});
before.addEventListener("click", () => jump(false));
after.addEventListener("click", () => jump(true));
