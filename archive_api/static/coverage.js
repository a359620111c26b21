// How much of today a source has recorded: the day as a bar, and the same in words.

import { element } from "./dom.js";
import { seconds } from "./format.js";

const NOT_ASKED = ["stopped", "scheduled"];

/** A cause such as `device_lost` in words. */
export const causeWords = (cause) => cause.replaceAll("_", " ");

export class Coverage {
  #bar = element("div", "day-bar");
  #words = element("p", "day-words");
  #told = "";

  constructor() {
    this.#bar.setAttribute("aria-hidden", "true"); // the words beside it say the same
    this.element = element("div", "coverage", this.#bar, this.#words);
    this.element.hidden = true;
  }

  /** Show the day of a source as the archive tells it; nothing while nothing is known of it. */
  show(today) {
    const told = JSON.stringify(today ?? null);
    if (told === this.#told) return;
    this.#told = told;
    this.element.hidden = !today?.coverage.length;
    if (this.element.hidden) return;
    const begin = Date.parse(today.start);
    const share = (ms) => `${(ms * 100) / (Date.parse(today.end) - begin)}%`;
    this.#bar.replaceChildren(
      ...today.coverage.map(({ start, end, cause, missing }) => {
        const part = element("i", cause === null ? "" : missing ? "miss" : "rest");
        part.style.left = share(Date.parse(start) - begin);
        part.style.width = share(Date.parse(end) - Date.parse(start));
        return part;
      }),
    );
    this.#words.replaceChildren(...words(today));
  }
}

function words({ completeness_pct: share, missing_s: missing, not_asked_s: rest, causes }) {
  const why = Object.keys(causes).filter((cause) => !NOT_ASKED.includes(cause)).map(causeWords).join(", ");
  return [
    element("span", "", element("b", "", share === null ? "Nothing" : `${share} %`), share === null ? " asked for today" : " of today recorded"),
    missing > 0 ? element("span", "", element("i", "key miss"), `${seconds(missing)} missing${why ? `: ${why}` : ""}`) : "",
    rest > 0 && share !== null ? element("span", "", element("i", "key rest"), `${seconds(rest)} not asked for`) : "",
  ];
}
