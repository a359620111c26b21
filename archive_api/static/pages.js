// The list of recordings as far as it has been fetched. Nothing here touches the page.

export const PAGE = 100;
export const MOST_PAGES = 10; // the table never has more rows than these pages

/** The path of a recording, which stays the same when it is finished. */
export const plain = (file) => file.replace(/\.part$/, "");

/** What its audio is called right now: what is open has a name of its own, which goes on to lead to it afterwards. */
export const nameOf = ({ file, state }) => (state === "open" ? `${plain(file)}.part` : file);

/** What is held: `items`, newest first; `next`, the cursor of what comes after, or null; whether the `top` is held. */
export const EMPTY = { items: [], next: null, top: true };

/** The first page, fetched again: what is new in it comes on top, what has gone goes, older pages stay. */
export function refreshed(held, page) {
  if (!held.top) return held;
  const last = page.items.at(-1);
  const at = last === undefined ? -1 : held.items.findIndex(({ file }) => plain(file) === plain(last.file));
  if (page.next === null || at < 0 || at === held.items.length - 1) return { items: page.items, next: page.next, top: true };
  const fresh = new Set(page.items.map(({ file }) => plain(file))); // a corrected time moves a recording to another page
  const older = held.items.slice(at + 1).filter(({ file }) => !fresh.has(plain(file)));
  return { items: [...page.items, ...older], next: held.next, top: true };
}

/** With one more page at the end. Where that is too much, the newest page is let go. */
export function extended(held, page) {
  const known = new Set(held.items.map(({ file }) => plain(file)));
  const items = [...held.items, ...page.items.filter(({ file }) => !known.has(plain(file)))];
  const over = items.length > PAGE * MOST_PAGES;
  return { items: over ? items.slice(PAGE) : items, next: page.next, top: held.top && !over };
}

/** What is held with the gaps between that have a length, newest first; as far back as it is held. */
export function woven({ items, next, top }, gaps) {
  const oldest = next === null ? "" : items.at(-1)?.start;
  const newest = top ? "~" : items[0]?.start;
  const between = gaps.filter((gap) => gap.duration_s !== 0 && gap.start >= oldest && gap.start <= newest);
  return [...items, ...between].sort((a, b) => (a.start < b.start ? 1 : a.start > b.start ? -1 : 0));
}
