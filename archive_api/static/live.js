// What happens right now: one stream of events for the whole page. While there is none, it asks for the status every
// two seconds; while there is one, only now and then.

import { absolute, fetchStatus } from "./api.js";

const TYPES = ["snapshot", "source", "level", "segment", "gap", "loud", "storage", "agent", "reset"];
const POLL_MS = 2000;
const SELDOM_MS = 4000; // for the length of what is being recorded, and for streams that hang
const AFTER_EVENT_MS = 150; // several events often come together
const REOPEN_MS = 15000;

let on = { status: () => {}, lost: () => {}, event: () => {} };
let stream = null;
let streaming = false;
let busy = false;
let timer = 0;
let reopen = 0;

/** Begin. `status(status)` and `lost(error)` tell what each asking gave, `event(type, data)` what came by itself. */
export function start(handlers) {
  on = handlers;
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : resume()));
  window.addEventListener("online", resume);
  window.addEventListener("pagehide", pause);
  window.addEventListener("pageshow", (event) => event.persisted && resume());
  resume();
}

/** Ask for the status now. */
export function ask() {
  return poll();
}

function resume() {
  if (document.hidden) return;
  if (stream === null) open();
  poll();
}

/** Nobody looks: no stream, no asking. */
function pause() {
  clearTimeout(timer);
  shut();
}

function shut() {
  clearTimeout(reopen);
  stream?.close();
  stream = null;
  streaming = false;
}

function open() {
  shut();
  stream = new EventSource(absolute("api/v1/events"));
  stream.addEventListener("open", () => {
    streaming = true;
    poll();
  });
  stream.addEventListener("error", () => {
    if (streaming) soon(0);
    streaming = false;
    // A browser opens it again by itself unless it was refused.
    if (stream?.readyState === EventSource.CLOSED) reopen = setTimeout(open, REOPEN_MS);
  });
  for (const type of TYPES) stream.addEventListener(type, receive);
}

function receive({ type, data }) {
  let told;
  try {
    told = JSON.parse(data);
  } catch {
    return; // not ours
  }
  streaming = true;
  on.event(type, told);
  if (type !== "level") soon(AFTER_EVENT_MS);
}

function soon(ms) {
  clearTimeout(timer);
  timer = setTimeout(poll, ms);
}

async function poll() {
  if (busy || document.hidden) return;
  busy = true;
  clearTimeout(timer);
  try {
    await on.status(await fetchStatus());
  } catch (error) {
    on.lost(error);
  } finally {
    busy = false;
    soon(streaming ? SELDOM_MS : POLL_MS);
  }
}
