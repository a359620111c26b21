// The player at the foot of the page: buttons, position, volume, speed and keys around the audio element.

import { downloadAddress } from "./api.js";
import { icon, setButton, setText } from "./dom.js";
import * as format from "./format.js";
import { clockAt, examine, jump, mark, measure, place, timeAt } from "./loud.js";
import { audio, lengthS, loaded, loadedName, onPlayer, seek, toggle, unload } from "./player.js";
import { focusRow, labelOf, markPlaying, revealRow, startOf } from "./rows.js";

const STEP_S = 5;
const SPOKEN_MS = 5000;

const part = (id) => document.getElementById(id);
const deck = part("player");
const play = part("play");
const wave = part("wave");
const volume = part("volume");
const speed = part("speed");
const more = part("loud-more");

let words = "";
let showed = null; // the file that is in the deck
let pointer = null;
let spokenAt = -Infinity;

part("player-close").append(icon("close"));
part("player-download").append(icon("download"));
part("loud-before").append(icon("before"));
part("loud-after").append(icon("after"));

onPlayer({
  changed: showPlaying,
  loaded(item) {
    const isSame = showed === item.file;
    showed = item.file;
    deck.hidden = false;
    part("to-player").hidden = false;
    document.body.classList.add("playing-on");
    setText(part("playing"), labelOf(item));
    document.title = `${labelOf(item)} – Recordings`;
    part("player-download").href = downloadAddress(loadedName());
    examine(isSame);
    showPlaying();
    if (!isSame) revealRow(item);
  },
  says(text) {
    words = text;
    showPosition(true);
  },
});

function showPlaying() {
  const item = loaded();
  markPlaying(item?.file ?? null, audio.paused);
  setButton(play, audio.paused ? "play" : "pause", audio.paused ? "Play" : "Pause");
  if (item !== null && !audio.paused) requestAnimationFrame(follow);
}

const isStill = matchMedia("(prefers-reduced-motion: reduce)");

/** Move the playhead with every picture; where motion is unwelcome, only when the audio element tells the time. */
function follow() {
  if (audio.paused || loaded() === null || isStill.matches) return;
  place(pointer);
  requestAnimationFrame(follow);
}

function showPosition(now = false) {
  const item = loaded();
  if (item === null) return;
  const at = audio.currentTime;
  setText(part("position"), format.length(Math.floor(at)));
  setText(part("length"), format.length(lengthS()));
  setText(part("player-note"), words || format.day(startOf(item).day));
  setText(part("clock"), clockAt(item, at));
  place(pointer);
  mark();
  if (!now && performance.now() - spokenAt < SPOKEN_MS) return;
  spokenAt = performance.now();
  wave.setAttribute("aria-valuemax", String(Math.round(lengthS())));
  wave.setAttribute("aria-valuenow", String(Math.round(at)));
  wave.setAttribute("aria-valuetext", `${format.length(Math.floor(at))} of ${format.length(lengthS())}, ${clockAt(item, at)}`);
}

audio.addEventListener("timeupdate", () => showPosition());
audio.addEventListener("seeked", () => showPosition(true));
audio.addEventListener("durationchange", () => {
  if (loaded() === null) return;
  measure();
  showPosition(true);
});
audio.addEventListener("volumechange", showVolume);

play.addEventListener("click", () => toggle(loaded()));
part("player-close").addEventListener("click", () => {
  const item = loaded();
  unload();
  showed = null;
  deck.hidden = true;
  part("to-player").hidden = true;
  document.body.classList.remove("playing-on");
  document.title = "Recordings";
  focusRow(item);
});

function showVolume() {
  const isMute = audio.muted || audio.volume === 0;
  setButton(part("mute"), isMute ? "mute" : "sound", isMute ? "Sound on" : "Mute");
  volume.value = String(isMute ? 0 : Math.round(audio.volume * 100));
}
part("mute").addEventListener("click", () => {
  if (audio.volume === 0) audio.volume = 1;
  else audio.muted = !audio.muted;
});
volume.addEventListener("input", () => {
  audio.muted = false;
  audio.volume = Number(volume.value) / 100;
});
speed.addEventListener("change", () => {
  audio.defaultPlaybackRate = Number(speed.value);
  audio.playbackRate = Number(speed.value);
});
// Where there is little room, the list of loud sections comes when it is asked for.
const isRoomy = matchMedia("(min-width: 62rem) and (min-height: 34rem)");
const unfold = (isOpen) => {
  more.setAttribute("aria-expanded", String(isOpen));
  more.replaceChildren(icon(isOpen ? "fold" : "unfold"));
  part("loud-panel").hidden = !isOpen;
};
const fit = () => {
  more.hidden = isRoomy.matches;
  unfold(isRoomy.matches);
};
isRoomy.addEventListener("change", fit);
more.addEventListener("click", () => unfold(more.getAttribute("aria-expanded") === "false"));
fit();

// --- The waveform is where one seeks ---------------------------------------------------------------------------------

const pointed = (event) => timeAt(event.clientX - wave.getBoundingClientRect().left);

wave.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  wave.setPointerCapture(event.pointerId);
  seek(pointed(event));
});
wave.addEventListener("pointermove", (event) => {
  if (wave.hasPointerCapture(event.pointerId)) seek(pointed(event));
  pointer = event.pointerType === "mouse" ? pointed(event) : null;
  showPointed();
});
wave.addEventListener("pointerleave", () => {
  pointer = null;
  showPointed();
});

function showPointed() {
  if (loaded() === null) return;
  setText(part("pointed"), pointer === null ? "" : clockAt(loaded(), pointer));
  place(pointer);
}

const MOVES = {
  ArrowLeft: (at) => at - STEP_S,
  ArrowDown: (at) => at - STEP_S,
  ArrowRight: (at) => at + STEP_S,
  ArrowUp: (at) => at + STEP_S,
  PageDown: (at) => at - 60,
  PageUp: (at) => at + 60,
  Home: () => 0,
  End: () => lengthS(),
};
wave.addEventListener("keydown", (event) => {
  if (event.key === " ") {
    event.preventDefault();
    toggle(loaded());
    return;
  }
  const move = MOVES[event.key];
  if (move === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  seek(move(audio.currentTime));
});

// Keys for the whole page, while something is loaded and nobody is typing or choosing.
const KEYS = { n: () => jump(true), p: () => jump(false), k: () => toggle(loaded()) };
document.addEventListener("keydown", (event) => {
  const act = KEYS[event.key.toLowerCase()];
  if (act === undefined || loaded() === null || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.closest("select, textarea, input:not([type=range], [type=checkbox])")) return;
  event.preventDefault();
  act();
});
showVolume();
