// Levels and times as places on the screen. Nothing here touches the page.

export const FLOOR_DBFS = -60;

/** The level of an amplitude from 0 to 1, in dBFS; -Infinity for silence. */
export const dbfsOf = (amplitude) => (amplitude > 0 ? 20 * Math.log10(amplitude) : -Infinity);

/** The amplitude, 0 to 1, of a level in dBFS. */
export const amplitudeOf = (dbfs) => 10 ** (dbfs / 20);

/** Where a level stands between the floor of -60 dBFS (0) and full scale (1). */
export const shareOf = (dbfs) => Math.min(1, Math.max(0, 1 - dbfs / FLOOR_DBFS));

/**
 * The heights, 0 to 1 on the dB scale, of `count` bars that share `duration` seconds among them. Of the amplitudes that
 * touch a bar's time, each for `interval` seconds, the loudest counts, so that a short sound is seen at any width.
 */
export function bars(amplitudes, interval, duration, count) {
  const heights = new Float32Array(count);
  if (!(interval > 0) || !(duration > 0)) return heights;
  for (let bar = 0; bar < count; bar += 1) {
    const first = Math.floor((bar * duration) / count / interval + 1e-6);
    const last = Math.max(first + 1, Math.ceil(((bar + 1) * duration) / count / interval - 1e-6));
    let loudest = 0;
    for (let at = first; at < last && at < amplitudes.length; at += 1) loudest = Math.max(loudest, amplitudes[at]);
    heights[bar] = shareOf(dbfsOf(loudest));
  }
  return heights;
}

/** Where sections of time lie on `width` pixels; even the shortest is two pixels wide. */
export function spans(sections, duration, width) {
  return sections.map(({ start, end }) => {
    const x = (start / duration) * width;
    return { x, width: Math.max(2, ((end - start) / duration) * width) };
  });
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600];

/**
 * Seconds into the recording at which a time is written below it: at round times of the clock on the wall, where the
 * recording began `offset` seconds after a full hour, and at least `room` pixels apart.
 */
export function ticks(duration, width, offset, room) {
  if (!(duration > 0)) return { step: STEPS_S[0], at: [] };
  const step = STEPS_S.find((seconds) => (seconds / duration) * width >= room) ?? STEPS_S.at(-1);
  const at = [];
  for (let tick = Math.ceil(offset / step) * step - offset; tick <= duration; tick += step) at.push(tick);
  return { step, at };
}

/** The section that begins next after `at`, or last before it; undefined where there is none. */
export function neighbour(sections, at, forward) {
  // A section counts as reached already half a second after its begin, so that going back twice goes back two.
  return forward ? sections.find(({ start }) => start > at + 0.05) : sections.findLast(({ start }) => start < at - 0.5);
}
