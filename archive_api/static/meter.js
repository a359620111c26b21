// A level meter: a bar for the RMS, a mark for the peak, both on a scale from -60 to 0 dBFS, and the numbers.

import { element, setText } from "./dom.js";
import { level } from "./format.js";
import { FLOOR_DBFS, shareOf } from "./scale.js";

const SPOKEN_MS = 5000; // a screen reader is not told of every change
const SCALE = [-60, -48, -36, -24, -12, 0];

/** A meter for a source of this name; its `element` is to be put somewhere, `show` called with every level. */
export class Meter {
  #bar = element("div", "bar");
  #lamp = element("span", "lamp", element("span", "words", "–"));
  #rms = element("strong", "", "–");
  #peak = element("span", "", "–");
  #spokenAt = -Infinity;

  constructor(name) {
    this.#bar.append(element("div", "rms"), element("div", "peak"));
    const ticks = SCALE.map((dbfs) => element("span", "", dbfs === 0 ? "0" : `−${-dbfs}`));
    const scale = element("div", "scale", ...ticks);
    scale.setAttribute("aria-hidden", "true");
    this.element = element("div", "meter", this.#numbers(), this.#bar, scale);
    const facts = { role: "meter", "aria-label": `Level of ${name}`, "aria-valuemin": FLOOR_DBFS, "aria-valuemax": 0 };
    for (const [key, value] of Object.entries(facts)) this.#bar.setAttribute(key, String(value));
    this.show(null);
  }

  #numbers() {
    const numbers = element("p", "numbers", this.#lamp, element("span", "value", this.#rms, " dBFS"), element("span", "value", "peak ", this.#peak));
    numbers.setAttribute("aria-hidden", "true"); // the meter says the same
    return numbers;
  }

  /** Show a level `{ rms_dbfs, peak_dbfs, sound }`; null where there is none. */
  show(heard) {
    const words = heard === null ? "No level" : heard.sound === true ? "Sound" : heard.sound === false ? "Quiet" : "Level";
    this.element.classList.toggle("off", heard === null);
    this.#lamp.classList.toggle("on", heard?.sound === true);
    setText(this.#lamp.lastChild, words);
    setText(this.#rms, heard === null ? "–" : level(heard.rms_dbfs));
    setText(this.#peak, heard === null ? "–" : level(heard.peak_dbfs));
    this.#bar.style.setProperty("--rms", heard === null ? 0 : shareOf(heard.rms_dbfs).toFixed(4));
    this.#bar.style.setProperty("--peak", heard === null ? 0 : shareOf(heard.peak_dbfs).toFixed(4));
    this.#speak(heard, words);
  }

  /** A change of words is told at once, of numbers every five seconds. */
  #speak(heard, words) {
    const now = performance.now();
    if (this.#bar.dataset.words === words && now - this.#spokenAt < SPOKEN_MS) return;
    this.#spokenAt = now;
    this.#bar.dataset.words = words;
    const rms = heard === null ? FLOOR_DBFS : Math.min(0, Math.max(FLOOR_DBFS, heard.rms_dbfs));
    this.#bar.setAttribute("aria-valuenow", String(rms));
    const numbers = heard === null ? "" : `, ${level(heard.rms_dbfs)} dBFS, peak ${level(heard.peak_dbfs)} dBFS`;
    this.#bar.setAttribute("aria-valuetext", `${words}${numbers}`);
  }
}
