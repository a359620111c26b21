// The archive's HTTP interface. Addresses are relative, so that the page works below a path prefix.

const TIMEOUT_MS = 10000;
const ANALYSIS_MS = 300000; // a foreign file is decoded first

/** What the archive said is wrong, or that it did not answer at all (`status` is 0 then). */
export class ApiError extends Error {
  constructor(detail, hint, status) {
    super(detail);
    this.hint = hint;
    this.status = status;
  }

  get reached() {
    return this.status !== 0;
  }
}

/** Below this page's folder. fetch() refuses an address with a password in it, as the page's own may have one. */
export const absolute = (path) => new URL(path, location.origin + location.pathname);

async function get(path, ms = TIMEOUT_MS, given = null) {
  const limit = AbortSignal.timeout(ms);
  let response;
  try {
    response = await fetch(absolute(path), { cache: "no-cache", signal: given ? AbortSignal.any([given, limit]) : limit });
  } catch (error) {
    if (given?.aborted) throw error;
    throw new ApiError("The archive does not answer.", null, 0);
  }
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(problem.detail || `The archive answered with ${response.status}.`, problem.hint, response.status);
}

const query = (parameters) => new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== null));

/** status.json with `running` and `age_s`. */
export const fetchStatus = () => get("api/v1/status");

/** Every source that is configured or has recordings. */
export const fetchSources = async () => (await get("api/v1/sources")).items;

/** One page of recordings, `{ items, next }`; parameters that are null are left out. */
export const fetchSegments = (parameters) => get(`api/v1/segments?${query(parameters)}`);

/** Stretches without audio, `{ items, next }`; as `fetchSegments`. */
export const fetchGaps = (parameters) => get(`api/v1/gaps?${query(parameters)}`);

/** Levels and loud sections of a recording; `threshold` is an amplitude from 0 to 1. */
export const fetchAnalysis = (file, threshold, signal) =>
  get(`api/analyze?${query({ file, threshold: threshold.toFixed(6) })}`, ANALYSIS_MS, signal);

const encoded = (name) => name.split("/").map(encodeURIComponent).join("/");
export const streamAddress = (name) => `stream/${encoded(name)}`;
export const downloadAddress = (name) => `download/${encoded(name)}`;

/** Where audio can be had now, with its length pinned if it is being recorded; null while there is none yet. */
export async function pinnedAddress(name) {
  try {
    const address = absolute(streamAddress(name));
    const response = await fetch(address, { method: "HEAD", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.ok) return response.url;
    if (response.status !== 503) throw new ApiError("This recording is not there any more.", null, 404);
    return null;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("The archive does not answer.", null, 0);
  }
}
