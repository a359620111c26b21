// Draws the levels of a recording on a canvas: bars on a scale from -60 to 0 dBFS, loud sections as bands behind them,
// the threshold as a dashed line, the time below, and where playing is. The scale is in dB so that quiet is seen too.

import { bars, dbfsOf, shareOf, spans, ticks } from "./scale.js";

const BAR = 3; // two pixels and one of air
const FOOT = 16; // for the time
const BAND_TOP = 3;
const TICK_ROOM = 70;
const LINES_DBFS = [-20, -40];
const COLOURS = {
  bar: "wave-bar", heard: "accent", loudBar: "wave-loud-bar", loudHeard: "wave-loud-heard", band: "wave-band",
  mark: "loud", line: "wave-line", muted: "wave-muted", head: "wave-head", page: "surface",
};

/** The waveform on one canvas. Give it what there is to see with `show`, and `place` whenever playing has moved. */
export class Waveform {
  #canvas;
  #picture = null; // all but what moves, drawn once for every size, colour scheme and content
  #seen = { duration: 0, offset: 0, label: () => "", analysis: null };
  #at = 0;
  #pointer = null;

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#renew()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#renew());
    this.#watchScreen();
  }

  /**
   * `duration` in seconds; `offset`, how many seconds after a full hour it began; `label(seconds, step)`, what to write
   * there; `analysis` as the archive gives it, or null while there is none.
   */
  show(seen) {
    this.#seen = seen;
    this.#renew();
  }

  /** Playing is at so many seconds; `pointer`, where a mouse points at, or null. */
  place(at, pointer = null) {
    if (at === this.#at && pointer === this.#pointer) return;
    this.#at = at;
    this.#pointer = pointer;
    this.#draw();
  }

  /** The seconds at so many pixels from the left. */
  timeAt(x) {
    const { width } = this.#canvas.getBoundingClientRect();
    return width > 0 ? Math.min(1, Math.max(0, x / width)) * this.#seen.duration : 0;
  }

  /** A window that is dragged to another screen has other pixels. */
  #watchScreen() {
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
      this.#watchScreen();
      this.#renew();
    }, { once: true });
  }

  #renew() {
    this.#picture = null;
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0 || height === 0) return;
    const ratio = devicePixelRatio || 1;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== size[0]) this.#canvas.width = size[0];
    if (this.#canvas.height !== size[1]) this.#canvas.height = size[1];
    if (this.#picture === null) this.#picture = this.#paint(width, height, ratio);
    const { before, after } = this.#picture;
    const to = this.#canvas.getContext("2d");
    const { duration } = this.#seen;
    const x = duration > 0 ? Math.min(width, (this.#at / duration) * width) : 0;
    const edge = Math.round(x * ratio);
    to.setTransform(1, 0, 0, 1, 0, 0);
    to.clearRect(0, 0, ...size);
    if (edge < size[0]) to.drawImage(after, edge, 0, size[0] - edge, size[1], edge, 0, size[0] - edge, size[1]);
    if (edge > 0) to.drawImage(before, 0, 0, edge, size[1], 0, 0, edge, size[1]);
    to.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (duration > 0) this.#drawHead(to, x, width, height);
  }

  #drawHead(to, x, width, height) {
    const colour = coloursOf(this.#canvas);
    to.fillStyle = colour.head;
    to.fillRect(Math.min(Math.max(0, x - 1), width - 2), 0, 2, height - FOOT);
    if (this.#pointer === null) return;
    to.fillStyle = colour.muted;
    to.fillRect((this.#pointer / this.#seen.duration) * width, 0, 1, height - FOOT);
  }

  /** Two pictures that differ in the colour of the bars: what has been heard, and what is to come. */
  #paint(width, height, ratio) {
    const colour = coloursOf(this.#canvas);
    const make = (bar, loud) => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
      const to = canvas.getContext("2d");
      to.scale(ratio, ratio);
      this.#paintAll(to, width, height, { ...colour, bar, loudBar: loud }, ratio);
      return canvas;
    };
    return { before: make(colour.heard, colour.loudHeard), after: make(colour.bar, colour.loudBar) };
  }

  #paintAll(to, width, height, colour, ratio) {
    const { duration, analysis } = this.#seen;
    const floor = height - FOOT;
    const bands = analysis && duration > 0 ? spans(analysis.sections, duration, width) : [];
    to.fillStyle = colour.band;
    for (const band of bands) to.fillRect(band.x, 0, band.width, floor);
    this.#paintLines(to, width, floor, colour);
    this.#paintBars(to, width, floor, bands, colour, ratio);
    to.fillStyle = colour.mark;
    for (const band of bands) to.fillRect(band.x, 0, band.width, BAND_TOP);
    this.#paintScale(to, width, floor, colour);
    this.#paintTimes(to, width, height, colour);
  }

  #paintLines(to, width, floor, colour) {
    const { analysis } = this.#seen;
    to.fillStyle = colour.line;
    for (const dbfs of LINES_DBFS) to.fillRect(0, Math.round(floor * (1 - shareOf(dbfs))), width, 1);
    if (analysis) {
      const y = Math.round(floor * (1 - shareOf(dbfsOf(analysis.threshold)))) + 0.5;
      to.strokeStyle = colour.mark;
      to.setLineDash([4, 4]);
      to.beginPath();
      to.moveTo(0, y);
      to.lineTo(width, y);
      to.stroke();
      to.setLineDash([]);
    }
    to.fillStyle = colour.line;
    to.fillRect(0, floor, width, 1);
  }

  #paintBars(to, width, floor, bands, colour, ratio) {
    const { duration, analysis } = this.#seen;
    if (!analysis || !(duration > 0)) return;
    const heights = bars(analysis.waveform, analysis.interval, duration, Math.max(1, Math.floor(width / BAR)));
    let band = 0;
    for (let bar = 0; bar < heights.length; bar += 1) {
      const x = Math.round((bar * width * ratio) / heights.length) / ratio; // on a whole pixel, so that edges are sharp
      while (band < bands.length && bands[band].x + bands[band].width <= x) band += 1;
      const isLoud = band < bands.length && bands[band].x < x + BAR - 1;
      to.fillStyle = isLoud ? colour.loudBar : colour.bar;
      const tall = Math.max(1, heights[bar] * (floor - BAND_TOP - 1));
      to.fillRect(x, floor - tall, BAR - 1, tall);
    }
  }

  /** The numbers of the scale, readable on whatever is below them. */
  #paintScale(to, width, floor, colour) {
    to.font = `10px ${colour.font}`;
    to.textBaseline = "bottom";
    to.textAlign = "right";
    to.lineWidth = 3;
    to.strokeStyle = colour.page;
    to.fillStyle = colour.muted;
    for (const dbfs of LINES_DBFS) {
      const place = [`−${-dbfs} dB`, width - 2, Math.round(floor * (1 - shareOf(dbfs)))];
      to.strokeText(...place);
      to.fillText(...place);
    }
  }

  #paintTimes(to, width, height, colour) {
    const { duration, offset, label } = this.#seen;
    const { step, at } = ticks(duration, width, offset, TICK_ROOM);
    to.textBaseline = "bottom";
    to.textAlign = "left";
    to.font = `11px ${colour.font}`;
    to.fillStyle = colour.muted;
    let free = -Infinity; // where the last words end
    for (const seconds of at) {
      const x = (seconds / duration) * width;
      const words = label(seconds, step);
      const wide = to.measureText(words).width;
      const left = Math.min(Math.max(0, x - wide / 2), width - wide);
      to.fillRect(Math.min(x, width - 1), height - FOOT, 1, 4);
      if (left < free + 8) continue;
      to.fillText(words, left, height);
      free = left + wide;
    }
  }
}

/** The colours of the style sheet as they are right now. */
function coloursOf(canvas) {
  const style = getComputedStyle(canvas);
  const found = Object.entries(COLOURS).map(([use, name]) => [use, style.getPropertyValue(`--${name}`).trim()]);
  return { ...Object.fromEntries(found), font: style.fontFamily };
}
