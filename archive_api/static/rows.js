// The rows of the table. They are kept and changed in place, so that focus and position stay.

import { downloadAddress } from "./api.js";
import { causeWords } from "./coverage.js";
import { element, icon, outside, recBadge, setButton, setText } from "./dom.js";
import * as format from "./format.js";
import { nameOf, plain } from "./pages.js";
import { local } from "./zone.js";

const COLUMNS = 7;
const body = document.getElementById("rows");
const rows = new Map();
let names = new Map();
let onPlay = () => {};
let playing = { file: null, paused: true };

/** Call `play(item)` when a recording is to be played or paused. */
export function onPlayButton(play) {
  onPlay = play;
}

/** Names of sources by `<agent>/<source>`; true if some are new. */
export function nameSources(sources) {
  const fresh = new Map(sources.map(({ id, name, source }) => [id, name || source || id]));
  if (JSON.stringify([...fresh]) === JSON.stringify([...names])) return false;
  names = fresh;
  return true;
}

/** Whether it is one of ours, whose times are those of its samples; a foreign file has only that of its last change. */
export const isOurs = (item) => item.source !== null && item.agent !== null;

/** The source that a recording is from, in words. */
export function sourceOf(item) {
  if (item.source === null) return item.file.includes("/") ? item.file.slice(0, item.file.indexOf("/")) : "Other file";
  return names.get(`${item.agent}/${item.source}`) ?? item.source;
}

/** What a recording is called where there is room for a few words. */
export const labelOf = (item) => `${sourceOf(item)}, ${startOf(item).time}`;

/** Day and time of its begin, by the clock on the box's wall. */
export const startOf = (item) => local(Date.parse(item.start), item.tz);

/** Show these recordings, newest first, below their days. */
export function showRows(items) {
  const wanted = new Set();
  let place = body.firstElementChild;
  let day = "";
  const put = (key, make) => {
    wanted.add(key);
    let row = rows.get(key);
    if (row === undefined) rows.set(key, (row = make()));
    if (row.element === place) place = place.nextElementSibling;
    else body.insertBefore(row.element, place);
    return row;
  };
  for (const item of items) {
    const at = startOf(item);
    if (at.day !== day) {
      day = at.day;
      put(`day ${day}`, () => dayRow(day));
    }
    if (item.cause) {
      put(`gap ${item.id} ${item.end}`, () => gapRow(item, at));
      continue;
    }
    const key = plain(item.file);
    fillRow(put(key, fileRow), item, at);
    markRow(key, rows.get(key));
  }
  for (const [key, row] of rows) {
    if (wanted.has(key)) continue;
    row.element.remove();
    rows.delete(key);
  }
}

/** Bring length and size of what is being recorded up to date between two lists. */
export function growOpen(sources) {
  for (const { open_segment: open, format: told } of sources ?? []) {
    const row = open && rows.get(plain(open.file));
    if (!row || row.item.state !== "open") continue;
    const rate = told?.sample_rate_hz;
    setText(row.size, format.size(open.bytes_safe));
    if (rate) setText(row.length, format.length(open.samples_safe / rate));
  }
}

/** Mark the row of what is playing. */
export function markPlaying(file, paused) {
  playing = { file: file === null ? null : plain(file), paused };
  for (const [key, row] of rows) if (row.item) markRow(key, row);
}

/** Bring the row of a recording into sight, should something cover it. */
export function revealRow(item) {
  rows.get(plain(item.file))?.element.scrollIntoView({ block: "nearest" });
}

/** Put the focus on the row of a recording. */
export function focusRow(item) {
  rows.get(plain(item.file))?.play.focus();
}

function dayRow(day) {
  const head = element("th", "", format.day(day));
  head.colSpan = COLUMNS;
  head.scope = "rowgroup";
  head.setAttribute("role", "rowheader");
  const row = element("tr", "day", head);
  row.setAttribute("role", "row");
  return { element: row };
}

function cell(className, ...children) {
  const made = element("td", className, ...children);
  made.setAttribute("role", "cell");
  return made;
}

/** A stretch without audio: when, of which source, why, how long. */
function gapRow({ agent, source, cause, missing, duration_s: length, detail }, at) {
  const words = missing ? `Missing: ${causeWords(cause)}` : `Not asked for: ${causeWords(cause)}`;
  const from = cell("from", outside(names.get(`${agent}/${source}`) ?? source), element("span", "", words));
  if (detail) from.append(element("small", "", outside(detail)));
  const mark = cell("actions", element("i", missing ? "key miss" : "key rest"));
  const long = cell("number length", length === null ? "lasts" : format.seconds(length));
  const row = element("tr", "gap", mark, cell("start", element("time", "", at.time)), from, cell("level"), long, cell("size"), cell("keep"));
  row.setAttribute("role", "row");
  return { element: row };
}

function fileRow() {
  const row = { actions: cell("actions"), start: cell("start"), from: cell("from"), level: cell("number level") };
  Object.assign(row, { length: cell("number length"), size: cell("number size"), keep: cell("keep") });
  row.play = element("button", "round");
  row.play.type = "button";
  row.play.addEventListener("click", () => onPlay(row.item));
  row.actions.append(row.play);
  row.download = element("a", "round", icon("download"));
  row.download.setAttribute("download", "");
  row.keep.append(row.download);
  row.element = element("tr", "file", row.actions, row.start, row.from, row.level, row.length, row.size, row.keep);
  row.element.setAttribute("role", "row");
  return row;
}

function fillRow(row, item, at) {
  row.item = item;
  // What is open grows between two lists; the last word of the recorder is newer than the list.
  if (item.state !== "open" || row.length.textContent === "") {
    setText(row.length, format.length(item.duration_s));
    setText(row.size, format.size(item.bytes));
  }
  const label = labelOf(item);
  const { file, state, title, loudness, loud_events: loud, missing_s: missing } = item;
  const facts = JSON.stringify([label, file, item.start, state, title, loudness, loud, missing]);
  if (row.facts === facts) return;
  Object.assign(row, { facts, label });
  row.element.dataset.name = nameOf(item);
  const time = element("time", "", at.time);
  time.dateTime = item.start;
  row.start.replaceChildren(element("span", "", time, state === "open" ? recBadge() : null));
  row.from.replaceChildren(...whence(item));
  row.level.replaceChildren(...heard(item));
  row.download.href = downloadAddress(nameOf(item));
  row.download.setAttribute("aria-label", `Download ${label}`);
  row.download.title = "Download";
}

/** Source, and whatever else is worth knowing of it. */
function whence(item) {
  const fault = item.state === "damaged" ? "Damaged" : item.missing_s > 0 ? `${format.seconds(item.missing_s)} missing` : null;
  return [
    outside(sourceOf(item)),
    item.title ? element("small", "", "♪ ", outside(item.title)) : null,
    isOurs(item) ? null : element("small", "", outside(item.file)),
    fault && element("small", "warn", icon("warning"), fault),
  ].filter(Boolean);
}

/** How loud it was, and how often something was heard. */
function heard(item) {
  const { loudness, loud_events: loud } = item;
  const times = loud > 0 ? element("span", "chip", `${loud.toLocaleString("en-GB")} loud`) : null;
  const peak = loudness && element("span", "peak", "peak ", level(loudness.peak_dbfs));
  return [times, peak].filter(Boolean);
}

const level = (dbfs) => `${format.level(dbfs)} dBFS`;

function markRow(key, row) {
  const current = playing.file === key;
  const symbol = current && !playing.paused ? "pause" : "play";
  if (current) row.element.setAttribute("aria-current", "true");
  else row.element.removeAttribute("aria-current");
  setButton(row.play, symbol, `${symbol === "play" ? "Play" : "Pause"} ${row.label}`);
}
