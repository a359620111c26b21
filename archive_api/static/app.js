// Puts the page together: what is live goes to the cards, what has been recorded to the list.

import { fetchSources } from "./api.js";
import "./deck.js";
import { element, setText } from "./dom.js";
import { offer, onChoice } from "./filter.js";
import { age, size } from "./format.js";
import * as list from "./list.js";
import { ask, start } from "./live.js";
import { toggle } from "./player.js";
import { growOpen, nameSources, onPlayButton } from "./rows.js";
import { showAges, showLevel, showSources, showTotals } from "./sources.js";

const LIST_MS = 10000;
const AGAIN_MS = 1500; // a file that has just been closed may come into the list a moment later

const unreachable = document.getElementById("unreachable");
const notRunning = document.getElementById("not-running");
const ageLine = document.getElementById("age");
const space = document.getElementById("space");

let written = null; // when the status was written, on the clock of performance.now()
let last = null;
let activeBefore = null;
let listAt = -Infinity;
let again = 0;

onPlayButton(toggle);
onChoice(list.choose);

start({
  async status(status) {
    show(status);
    const active = JSON.stringify([status.running, status.active ?? []]);
    if (active !== activeBefore || performance.now() - listAt >= LIST_MS) {
      listAt = performance.now();
      await showList();
      activeBefore = active;
    }
    growOpen(status.running ? status.sources : []);
    unreachable.hidden = true;
    document.body.classList.remove("lost");
  },
  lost: showProblem,
  event(type, data) {
    if (type === "level") {
      written = performance.now();
      showLevel(data);
    } else if (type === "snapshot") {
      show(data);
    } else if (type === "segment" || type === "reset") {
      listAt = -Infinity;
      clearTimeout(again);
      again = setTimeout(() => {
        listAt = -Infinity;
        ask();
      }, AGAIN_MS);
    }
  },
});

function show(status) {
  last = status;
  setText(document.getElementById("agent"), status.agent ?? "");
  written = status.age_s === null ? null : performance.now() - status.age_s * 1000;
  showAge();
  showSpace(status.running ? status.disk : null);
  showSources(status);
  list.tell(status.running, null);
  if (notRunning.hidden === status.running) return;
  notRunning.hidden = status.running;
  notRunning.replaceChildren(
    ...(status.running ? [] : [
      element("strong", "", "The recorder is not running. Nothing is being recorded."),
      "Start it with ", element("code", "", "isr-agent run"), ", or look into its log if it should be running.",
    ]),
  );
}

async function showList() {
  const sources = await fetchSources();
  offer(sources, last.tz ?? sources[0]?.tz);
  const isNew = nameSources(sources);
  list.tell(last.running, sources);
  await list.refresh();
  if (isNew) list.rename();
  showTotals(sources, last);
}

function showAge() {
  setText(ageLine, written === null ? "" : `The recorder reported ${age((performance.now() - written) / 1000)} ago`);
}

function showSpace(disk) {
  const { free_bytes: free, hours_left: hours } = disk ?? {};
  const left = typeof hours === "number" ? `, room for ${age(hours * 3600)}` : "";
  setText(space, typeof free === "number" ? `${size(free)} free${left}` : "");
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
  list.showProblem(error);
}

setInterval(() => {
  if (document.hidden) return;
  showAge();
  showAges();
}, 1000);
