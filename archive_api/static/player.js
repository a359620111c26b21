// One audio element for the whole page, made once. What is being recorded is heard as snapshots: at the end of one a
// longer one is asked for, and playing goes on where it was.

import { pinnedAddress } from "./api.js";
import { element } from "./dom.js";
import { nameOf, plain } from "./pages.js";

const MORE_AFTER_MS = 4000; // so much new audio makes a snapshot worth its while
const PATIENCE_MS = 2000;
const FOLLOWING = "Being recorded; more follows at the end";
const WAITING = "Waiting for more of the recording…";

export const audio = element("audio");
audio.preload = "metadata";
document.getElementById("audio").append(audio);

let current = null; // { item, name, address, takenAt }
let waiting = 0;
let on = { changed: () => {}, loaded: () => {}, says: () => {} };

const isPinned = (address) => new URL(address).searchParams.has("len");
const follows = () => current !== null && current.address !== null && current.name.endsWith(".part") && isPinned(current.address);

/** `changed()` when something else plays or pauses, `loaded(item)` with every new stretch of audio, `says(words)`. */
export function onPlayer(handlers) {
  on = handlers;
}

/** What is loaded; null where nothing is. */
export const loaded = () => current?.item ?? null;

/** What its audio is called; null where nothing is loaded. */
export const loadedName = () => current?.name ?? null;

/** How long it is, in seconds. */
export const lengthS = () => (Number.isFinite(audio.duration) ? audio.duration : (current?.item.duration_s ?? 0));

/** Play a recording; if it is loaded already, pause it or go on. */
export async function toggle(item) {
  if (current !== null && plain(current.item.file) === plain(item.file)) {
    if (!audio.paused) audio.pause();
    else if (audio.ended && follows()) await load(audio.currentTime);
    else await start();
    return;
  }
  clearTimeout(waiting);
  current = { item, name: nameOf(item), address: null, takenAt: 0 };
  on.loaded(item);
  on.says("");
  audio.pause();
  await load(0);
}

/** Go to a place, in seconds, as far as there is audio; and play from there, if asked to. */
export async function seek(at, play = false) {
  if (current === null) return;
  audio.currentTime = Math.min(Math.max(0, at), Math.max(0, lengthS() - 0.01));
  if (play && audio.paused) await start();
}

/** Let go of what is loaded. */
export function unload() {
  clearTimeout(waiting);
  current = null;
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  on.changed();
}

/** Load what there is of the current recording and go on at `from` seconds. */
async function load(from) {
  const wanted = current;
  let address;
  try {
    address = await pinnedAddress(wanted.name);
  } catch (error) {
    if (current === wanted) on.says(error.reached ? error.message : "The archive does not answer; trying again.");
    if (!error.reached) again(wanted, from);
    return;
  }
  if (current !== wanted) return;
  if (address === null || (address === wanted.address && isPinned(address))) {
    on.says(WAITING);
    again(wanted, from);
    return;
  }
  if (address === wanted.address) {
    on.says("");
    return;
  }
  const isMore = wanted.address !== null;
  current.address = address;
  current.takenAt = performance.now();
  const speed = audio.playbackRate;
  audio.src = address;
  audio.playbackRate = speed;
  if (from > 0) audio.currentTime = from;
  on.says(isPinned(address) ? FOLLOWING : "");
  if (isMore) on.loaded(wanted.item);
  await start();
}

function again(wanted, from) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (current === wanted) load(from);
  }, PATIENCE_MS);
}

async function start() {
  try {
    await audio.play();
  } catch (error) {
    if (error.name === "NotAllowedError") on.says("Press play to listen.");
  }
}

audio.addEventListener("ended", () => {
  if (!follows()) return;
  const wanted = current;
  const from = audio.currentTime;
  const pause = Math.max(0, MORE_AFTER_MS - (performance.now() - wanted.takenAt));
  if (pause > 0) on.says(WAITING);
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (current === wanted) load(from);
  }, pause);
});

// Somebody who goes elsewhere does not want to be taken to the end.
for (const event of ["seeking", "play"]) {
  audio.addEventListener(event, () => {
    clearTimeout(waiting);
    if (follows()) on.says(FOLLOWING);
  });
}

audio.addEventListener("error", () => {
  if (current !== null && audio.error !== null) on.says("This recording cannot be played here; download it instead.");
});

for (const event of ["play", "pause", "ended", "emptied"]) audio.addEventListener(event, () => on.changed());
