// The archive's HTTP interface. Addresses are relative, so that the page works below a path prefix.

const TIMEOUT_MS = 10000;

/** What the archive said is wrong, or that it did not answer at all (`reached` is false then). */
export class ApiError extends Error {
  constructor(detail, hint, reached) {
    super(detail);
    this.hint = hint;
    this.reached = reached;
  }
}

async function get(path) {
  let response;
  try {
    response = await fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new ApiError("The archive does not answer.", null, false);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(problem.detail || `The archive answered with ${response.status}.`, problem.hint, true);
}

/** status.json with `running` and `age_s`. */
export async function fetchStatus() {
  return (await get("api/v1/status")).json();
}

let lastTag = null;

/** All recordings, newest first; null when they are as they were at the last call. */
export async function fetchFiles() {
  const response = await get("api/files");
  const tag = response.headers.get("etag");
  if (tag !== null && tag === lastTag) {
    await response.body?.cancel();
    return null;
  }
  const files = await response.json();
  lastTag = tag;
  return files;
}

const encoded = (name) => name.split("/").map(encodeURIComponent).join("/");
export const streamAddress = (name) => `stream/${encoded(name)}`;
export const downloadAddress = (name) => `download/${encoded(name)}`;

/** Where audio can be had now, with its length pinned if it is being recorded; null while there is none yet. */
export async function pinnedAddress(name) {
  try {
    const response = await fetch(streamAddress(name), { method: "HEAD", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.ok) return response.url;
    if (response.status !== 503) throw new ApiError("This recording is not there any more.", null, true);
    return null;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("The archive does not answer.", null, false);
  }
}
