// The clock on the box's wall: days and times of its zone, wherever the reader sits.

const PARTS = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
const clocks = new Map();

/** A formatter for a zone; UTC where the browser does not know it. */
function clockOf(zone) {
  let clock = clocks.get(zone);
  if (clock === undefined) {
    const options = { ...PARTS, hourCycle: "h23", calendar: "iso8601" };
    try {
      clock = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone || "UTC" });
    } catch {
      clock = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
    }
    clocks.set(zone, clock);
  }
  return clock;
}

/** `{ day: "2026-11-22", time: "14:00:00" }` of a moment, which is milliseconds since 1970, in a zone. */
export function local(ms, zone) {
  const part = {};
  for (const { type, value } of clockOf(zone).formatToParts(ms)) part[type] = value;
  return { day: `${part.year.padStart(4, "0")}-${part.month}-${part.day}`, time: `${part.hour}:${part.minute}:${part.second}` };
}

/** The day after (or before, with -1) a day. */
export function dayBeside(day, days = 1) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * 86400000).toISOString().slice(0, 10);
}

/** Where a day begins in a zone, in seconds since 1970. It is searched for: not every day begins at midnight. */
export function startOfDay(day, zone) {
  const noon = Date.parse(`${day}T12:00:00Z`) / 1000;
  let [before, after] = [noon - 36 * 3600, noon + 36 * 3600];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (local(middle * 1000, zone).day < day) before = middle;
    else after = middle;
  }
  return after;
}

/** Whether this is a day that a calendar has. */
export function isDay(text) {
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(`${text}T00:00:00Z`));
}
