// The table of all recordings. Rows are kept and changed in place, so that focus and position stay; long lists come
// in portions.

import { downloadAddress } from "./api.js";
import { element, icon, outside, recBadge, setText } from "./dom.js";
import * as format from "./format.js";

const PORTION = 200;

const table = document.getElementById("files");
const body = document.getElementById("rows");
const note = document.getElementById("files-note");
const count = document.getElementById("count");
const more = document.getElementById("more");

let files = null;
let shown = PORTION;
let names = new Map();
let onPlay = () => {};
let playing = { name: null, paused: true };
const rows = new Map();

const plain = (name) => name.replace(/\.part$/, "");

/** Call `play(file)` when a recording is to be played or paused. */
export function onPlayButton(play) {
  onPlay = play;
}

/** Show these recordings, newest first; null stands for those of before. */
export function showFiles(list, running) {
  if (list !== null) {
    files = list;
    render();
  }
  if (files?.length === 0) showEmpty(running);
}

/** Names of sources by id. */
export function nameSources(sources) {
  const fresh = new Map((sources ?? []).map((source) => [source.id, source.name || source.id]));
  if (JSON.stringify([...fresh]) === JSON.stringify([...names])) return;
  names = fresh;
  if (files !== null) render();
}

/** Bring length and size of what is being recorded up to date between two lists. */
export function growOpen(sources) {
  for (const source of sources ?? []) {
    const open = source.open_segment;
    const row = open && rows.get(plain(open.file));
    if (!row || !row.file.recording) continue;
    const rate = source.format?.sample_rate_hz;
    fillRow(row, { ...row.file, size: open.bytes_safe, duration: rate ? open.samples_safe / rate : row.file.duration });
  }
}

/** Mark the row of what is playing. */
export function markPlaying(name, paused) {
  playing = { name: name === null ? null : plain(name), paused };
  for (const [key, row] of rows) if (row.file) markRow(key, row);
}

/** Say why there is no list, where none has been shown yet. */
export function showFilesProblem(problem, retry) {
  if (files !== null && files.length > 0) return;
  const again = element("button", "", "Try again");
  again.type = "button";
  again.addEventListener("click", retry);
  const parts = [element("strong", "", "The list cannot be shown"), problem.message, problem.hint ? ` ${problem.hint}` : ""];
  note.replaceChildren(...parts, element("div", "", again));
  note.hidden = false;
}

function showEmpty(running) {
  const doing = running
    ? "The recorder runs. As soon as a source records, its recording appears here."
    : "Start the recorder with ";
  const rest = running ? [] : [element("code", "", "isr-agent run"), "; what it records appears here at once."];
  note.replaceChildren(element("strong", "", "No recordings yet"), doing, ...rest);
}

function render() {
  note.hidden = files.length > 0;
  table.hidden = files.length === 0;
  setText(count, files.length ? `${files.length.toLocaleString("en-GB")} ${files.length === 1 ? "recording" : "recordings"}` : "");
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
  for (const file of files.slice(0, shown)) {
    if (file.date.slice(0, 10) !== day) {
      day = file.date.slice(0, 10);
      put(`day ${day}`, () => dayRow(file.date));
    }
    const key = plain(file.name);
    fillRow(put(key, fileRow), file);
    markRow(key, rows.get(key));
  }
  for (const [key, row] of rows) {
    if (wanted.has(key)) continue;
    row.element.remove();
    rows.delete(key);
  }
  const left = files.length - shown;
  more.hidden = left <= 0;
  setText(more, `Show ${Math.min(PORTION, left).toLocaleString("en-GB")} more of ${left.toLocaleString("en-GB")}`);
}

more.addEventListener("click", () => {
  const first = files[shown];
  shown += PORTION;
  render();
  rows.get(plain(first.name))?.play.focus();
});

function dayRow(date) {
  const head = element("th", "", format.day(date));
  head.colSpan = 5;
  head.scope = "rowgroup";
  head.setAttribute("role", "rowheader");
  const row = element("tr", "day", head);
  row.setAttribute("role", "row");
  return { element: row };
}

function fileRow() {
  const cell = (className) => {
    const made = element("td", className);
    made.setAttribute("role", "cell");
    return made;
  };
  const row = { start: cell("start"), from: cell("from"), length: cell("number length"), size: cell("number size") };
  row.play = element("button", "round");
  row.play.type = "button";
  row.play.addEventListener("click", () => onPlay(row.file));
  row.download = element("a", "round", icon("download"));
  row.download.setAttribute("download", "");
  const actions = cell("actions");
  actions.append(row.play, row.download);
  row.element = element("tr", "file", row.start, row.from, row.length, row.size, actions);
  row.element.setAttribute("role", "row");
  return row;
}

function fillRow(row, file) {
  const known = row.file;
  row.file = file;
  setText(row.length, format.length(file.duration));
  setText(row.size, format.size(file.size));
  const label = `${sourceOf(file)}, ${format.timeOfDay(file.date)}`;
  if (known && known.name === file.name && known.date === file.date && known.recording === file.recording && row.label === label) return;
  row.label = label;
  row.element.dataset.name = file.name;
  const time = element("time", "", format.timeOfDay(file.date));
  time.dateTime = file.date;
  time.title = file.date.replace("T", " ");
  row.start.replaceChildren(element("span", "", time, file.recording ? recBadge() : null));
  row.from.replaceChildren(outside(sourceOf(file)), ...(isOurs(file) ? [] : [element("small", "", outside(file.name))]));
  row.download.href = downloadAddress(file.name);
  row.download.setAttribute("aria-label", `Download ${label}`);
  row.download.title = "Download";
}

function markRow(key, row) {
  const current = playing.name === key;
  const symbol = current && !playing.paused ? "pause" : "play";
  if (current) row.element.setAttribute("aria-current", "true");
  else row.element.removeAttribute("aria-current");
  const label = `${symbol === "play" ? "Play" : "Pause"} ${row.label}`;
  if (row.play.getAttribute("aria-label") === label) return;
  row.play.setAttribute("aria-label", label);
  row.play.title = symbol === "play" ? "Play" : "Pause";
  row.play.replaceChildren(icon(symbol));
}

/** Whether the file is called as this program calls its own. */
const isOurs = (file) => /\/[a-z0-9-]+_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}[+-]\d{4}(-\d+)?\.\w+(\.part)?$/.test(file.name);

/** The source that a recording is from, in words. */
export function sourceOf(file) {
  const [folder, ...rest] = file.name.split("/");
  return rest.length === 0 ? "Other file" : names.get(folder) ?? folder;
}
