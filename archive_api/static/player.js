// One audio element for the whole page, made once. What is being recorded is heard as snapshots: at the end of one a
// longer one is asked for, and playing goes on where it was.

import { pinnedAddress } from "./api.js";
import { element, icon, setText } from "./dom.js";

const MORE_AFTER_MS = 4000; // so much new audio makes a snapshot worth its while
const PATIENCE_MS = 2000;
const FOLLOWING = "Being recorded; more follows at the end";

const bar = document.getElementById("player");
const title = document.getElementById("playing");
const note = document.getElementById("player-note");
const close = document.getElementById("player-close");
const audio = element("audio");
audio.controls = true;
audio.preload = "metadata";
document.getElementById("audio").append(audio);
close.append(icon("close"));

let current = null; // { name, day, address, takenAt }
let changed = () => {};
let waiting = 0;

const isOpen = (name) => name.endsWith(".part");
const isPinned = (address) => new URL(address).searchParams.has("len");
const follows = () => current !== null && current.address !== null && isOpen(current.name) && isPinned(current.address);

/** Call `tell(name, paused)` when something else plays or pauses; name is null when nothing is loaded. */
export function onPlayerChange(tell) {
  changed = tell;
}

/** Play a recording; if it is loaded already, pause it or go on. */
export async function toggle(name, words, day) {
  if (current !== null && sameAudio(current.name, name)) {
    if (!audio.paused) audio.pause();
    else if (audio.ended && follows()) await load(audio.currentTime);
    else await start();
    return;
  }
  clearTimeout(waiting);
  current = { name, day, address: null, takenAt: 0 };
  bar.hidden = false;
  setText(title, words);
  document.title = `${words} – Recordings`;
  say("");
  audio.pause();
  await load(0);
}

const sameAudio = (one, two) => one.replace(/\.part$/, "") === two.replace(/\.part$/, "");

/** Load what there is of the current recording and go on at `from` seconds. */
async function load(from) {
  const wanted = current;
  let address;
  try {
    address = await pinnedAddress(wanted.name);
  } catch (error) {
    if (current === wanted) say(error.reached ? error.message : "The archive does not answer; trying again.");
    if (!error.reached) again(wanted, from);
    return;
  }
  if (current !== wanted) return;
  if (address === null || (address === wanted.address && isPinned(address))) {
    say("Waiting for more of the recording…");
    again(wanted, from);
    return;
  }
  if (address === wanted.address) {
    say("");
    return;
  }
  current.address = address;
  current.takenAt = performance.now();
  audio.src = address;
  if (from > 0) audio.currentTime = from;
  say(isPinned(address) ? FOLLOWING : "");
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
    if (error.name === "NotAllowedError") say("Press play to listen.");
  }
}

/** What there is to say of the playing; the day of the recording where there is nothing else. */
function say(words) {
  setText(note, words || current?.day || "");
}

audio.addEventListener("ended", () => {
  if (!follows()) return;
  const wanted = current;
  const from = audio.currentTime;
  const pause = Math.max(0, MORE_AFTER_MS - (performance.now() - wanted.takenAt));
  if (pause > 0) say("Waiting for more of the recording…");
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (current === wanted) load(from);
  }, pause);
});

// Somebody who goes elsewhere does not want to be taken to the end.
for (const event of ["seeking", "play"]) {
  audio.addEventListener(event, () => {
    clearTimeout(waiting);
    if (follows()) say(FOLLOWING);
  });
}

audio.addEventListener("error", () => {
  if (current !== null && audio.error !== null) say("This recording cannot be played here; download it instead.");
});

for (const event of ["play", "pause", "ended", "emptied"]) {
  audio.addEventListener(event, () => changed(current?.name ?? null, audio.paused));
}

close.addEventListener("click", () => {
  clearTimeout(waiting);
  current = null;
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  bar.hidden = true;
  document.title = "Recordings";
  changed(null, true);
});
