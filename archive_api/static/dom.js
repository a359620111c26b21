// Small pieces of the page. Whatever comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  download: "M11 4h2v8l3-3 1.4 1.4L12 16l-5.4-5.6L8 9l3 3zM5 18h14v2H5z",
  before: "M6 5h2.4v14H6zM19 5v14L9.6 12z",
  after: "M15.6 5H18v14h-2.4zM5 5v14l9.4-7z",
  unfold: "M12 8.5 18.5 15 17 16.5l-5-5-5 5L5.5 15z",
  fold: "M12 15.5 5.5 9 7 7.5l5 5 5-5L18.5 9z",
  sound: "M4 9v6h4l5 4.5v-15L8 9zm11.5-.6v7.2a4 4 0 0 0 0-7.2zm0-3.9v2.1a5.8 5.8 0 0 1 0 10.8v2.1a7.8 7.8 0 0 0 0-15z",
  mute: "M4 9v6h4l5 4.5v-15L8 9zm16.6 5.2-2.2-2.2 2.2-2.2-1.4-1.4-2.2 2.2-2.2-2.2-1.4 1.4 2.2 2.2-2.2 2.2 1.4 1.4 2.2-2.2 2.2 2.2z",
  close: "M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4-5.6-5.6L6.4 19 5 17.6l5.6-5.6L5 6.4z",
  recording: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14z",
  stopped: "M6 6h12v12H6z",
  working: "M12 4a8 8 0 1 0 8 8h-2.2A5.8 5.8 0 1 1 12 6.2V9l4.5-4L12 1z",
  warning: "M12 3 1.8 20.5h20.4zM11 10h2v5h-2zm0 6.5h2v2h-2z",
  error: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm4.2 11.8-1.4 1.4L12 13.4l-2.8 2.8-1.4-1.4 2.8-2.8-2.8-2.8 1.4-1.4 2.8 2.8 2.8-2.8 1.4 1.4-2.8 2.8z",
  unknown: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm0 2.4a5.6 5.6 0 1 1 0 11.2 5.6 5.6 0 0 1 0-11.2z",
};

/** An element with a class and children, which may be texts. */
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text from outside, in whatever direction it is written. */
export const outside = (text) => element("bdi", "", String(text));

/** A symbol; it says nothing to a screen reader, because words stand beside it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

export const recBadge = () => element("span", "rec", "REC");

/** Change a text only if it is another: screen readers and selections are left in peace. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Change the symbol of a button, and what it is called. */
export function setButton(button, symbol, label) {
  if (button.getAttribute("aria-label") === label) return;
  button.setAttribute("aria-label", label);
  button.title = label;
  button.replaceChildren(icon(symbol));
}
