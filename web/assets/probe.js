// Finds out why a handshake failed. Browsers hide its status, so this asks the same address without the upgrade: the
// server checks the parameters first, and if they are right it answers with the WebSocket version that it wants.

import { texts } from "./texts.js";

const ANSWER_MAX_MS = 5_000;
const FINAL = new Set([400, 401, 403, 404, 409, 422]);
const RETRY_AFTER_MAX_MS = 30_000;

export async function probe(query) {
  try {
    const signal = AbortSignal.timeout?.(ANSWER_MAX_MS);
    const answer = await fetch(`/ws?${query}`, { cache: "no-store", signal });
    const { code, detail } = await answer.json().catch(() => ({}));
    const retry_ms = Math.min(RETRY_AFTER_MAX_MS, 1_000 * (Number(answer.headers.get("retry-after")) || 0));
    const parametersAccepted = answer.headers.has("sec-websocket-version");
    if (parametersAccepted) return { parametersAccepted, why: texts.blocked, retry_ms };
    // Only Starling's own refusals carry a code; a proxy's 404 may be temporary.
    return { final: FINAL.has(answer.status) && Boolean(code), code, why: sentence(detail), retry_ms };
  } catch {
    return { why: navigator.onLine ? texts.unreachable : texts.offline };
  }
}

const sentence = (detail) => (detail ? detail[0].toUpperCase() + detail.slice(1) : texts.notReady);
