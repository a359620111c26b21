// Numbers and times as people read them.

const LOCALE = "en-GB";
const DAY = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

/** `1:02:03` or `2:03`; a dash where the length is not known. */
export function length(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.round(seconds);
  const pad = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/** `<0.1 s`, `0.4 s`, `12 s`, `2:03`. */
export function seconds(number) {
  if (number > 0 && number < 0.05) return "<0.1 s";
  return number < 9.95 ? `${number.toFixed(1)} s` : number < 60 ? `${Math.round(number)} s` : length(number);
}

/** `31.2 MB`; a dash where it is not known. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A day such as `2026-11-22` in words. */
export const day = (date) => DAY.format(new Date(`${date}T00:00:00Z`));

/** A level in dBFS, without the unit; what is below everything that can be measured is silence. */
export function level(dbfs) {
  if (!(dbfs > -120)) return "−∞";
  return (Math.round(dbfs * 10) / 10 || 0).toFixed(1).replace("-", "−");
}

/** `1 recording`, `10,050 recordings`. */
export const count = (number, one) => `${number.toLocaleString(LOCALE)} ${one}${number === 1 ? "" : "s"}`;

/** A moment in UTC by the box's clock: the time alone if it was today. */
export function moment(utc, zone) {
  const at = new Date(utc);
  if (Number.isNaN(at.getTime())) return "";
  const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone };
  const dayOf = (date) => date.toLocaleDateString(LOCALE, { timeZone: zone });
  if (dayOf(at) !== dayOf(new Date())) Object.assign(options, { day: "numeric", month: "short" });
  return at.toLocaleString(LOCALE, options);
}

/** `3 s`, `5 min`, `2 h`, `3 days`. */
export function age(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  if (whole < 5400) return `${Math.round(whole / 60)} min`;
  if (whole < 129600) return `${Math.round(whole / 3600)} h`;
  return `${Math.round(whole / 86400)} days`;
}

/** The zone if the browser knows it. */
export function knownZone(zone) {
  try {
    new Intl.DateTimeFormat(LOCALE, { timeZone: zone });
    return zone;
  } catch {
    return undefined;
  }
}
