// Why a handshake failed. Browsers hide its status, so the same address is asked again without the upgrade:
// the server checks the parameters first and names the WebSocket version that it wants if there was nothing wrong with them.

const PATIENCE_MS = 5_000;
const FINAL = new Set([400, 401, 403, 404, 409, 422]);
const RETRY_AFTER_MS_MAX = 30_000;

export async function probe(query) {
  try {
    const signal = AbortSignal.timeout?.(PATIENCE_MS);
    const answer = await fetch(`/ws?${query}`, { cache: "no-store", signal });
    const { code, detail } = await answer.json().catch(() => ({}));
    const retry_ms = Math.min(RETRY_AFTER_MS_MAX, 1_000 * (Number(answer.headers.get("retry-after")) || 0));
    const passed = answer.headers.has("sec-websocket-version");
    if (passed) return { passed, why: "Something blocks the live connection", retry_ms };
    // Only Starling's own refusals carry a code; a proxy's 404 may pass.
    return { final: FINAL.has(answer.status) && Boolean(code), code, why: sentence(detail), retry_ms };
  } catch {
    return { why: navigator.onLine ? "Can’t reach the server" : "You are offline" };
  }
}

const sentence = (detail) => (detail ? detail[0].toUpperCase() + detail.slice(1) : "The server is not ready");
