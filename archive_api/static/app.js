// Keeps the page up to date: the status every two seconds, the list when it can have changed.

import { fetchFiles, fetchStatus } from "./api.js";
import { element, setText } from "./dom.js";
import { growOpen, markPlaying, nameSources, onPlayButton, showFiles, showFilesProblem, sourceOf } from "./files.js";
import { age, day, timeOfDay } from "./format.js";
import { onPlayerChange, toggle } from "./player.js";
import { showSources } from "./sources.js";

const STATUS_MS = 2000;
const FILES_MS = 10000;

const unreachable = document.getElementById("unreachable");
const notRunning = document.getElementById("not-running");
const ageLine = document.getElementById("age");

let timer = 0;
let busy = false;
let written = null; // when the status was written, on the clock of performance.now()
let last = null;
let activeBefore = null;
let filesAt = -Infinity;

onPlayButton((file) => toggle(file.name, `${sourceOf(file)}, ${timeOfDay(file.date)}`, day(file.date)));
onPlayerChange(markPlaying);

async function poll() {
  if (busy || document.hidden) return;
  busy = true;
  clearTimeout(timer);
  try {
    const status = await fetchStatus();
    last = status;
    show(status);
    let files = null;
    const active = JSON.stringify([status.running, status.active ?? []]);
    if (active !== activeBefore || performance.now() - filesAt >= FILES_MS) {
      files = await fetchFiles();
      filesAt = performance.now();
      activeBefore = active;
    }
    showFiles(files, status.running);
    growOpen(status.running ? status.sources : []);
    unreachable.hidden = true;
    document.body.classList.remove("lost");
  } catch (error) {
    showProblem(error);
  } finally {
    busy = false;
    clearTimeout(timer);
    timer = setTimeout(poll, STATUS_MS);
  }
}

function show(status) {
  setText(document.getElementById("agent"), status.agent ?? "");
  written = status.age_s === null ? null : performance.now() - status.age_s * 1000;
  showAge();
  showSources(status);
  nameSources(status.sources);
  if (notRunning.hidden === status.running) return;
  notRunning.hidden = status.running;
  notRunning.replaceChildren(
    ...(status.running ? [] : [
      element("strong", "", "The recorder is not running. Nothing is being recorded."),
      "Start it with ", element("code", "", "isr-agent run"), ", or look into its log if it should be running.",
    ]),
  );
}

function showAge() {
  setText(ageLine, written === null ? "" : `The recorder reported ${age((performance.now() - written) / 1000)} ago`);
}

function showProblem(error) {
  const parts = [
    element("strong", "", error.message),
    error.reached ? (error.hint ?? "") : "Is the archive running, and this device on its network?",
    " Trying again every 2 seconds.",
  ];
  const words = parts.map((part) => part.textContent ?? part).join(" ");
  if (unreachable.hidden || unreachable.dataset.words !== words) {
    unreachable.dataset.words = words;
    unreachable.replaceChildren(...parts);
  }
  unreachable.hidden = false;
  notRunning.hidden = true;
  document.body.classList.add("lost");
  if (last !== null) showSources(last, true);
  showFilesProblem(error, poll);
}

setInterval(() => {
  if (!document.hidden) showAge();
}, 1000);
document.addEventListener("visibilitychange", poll);
window.addEventListener("online", poll);
poll();
