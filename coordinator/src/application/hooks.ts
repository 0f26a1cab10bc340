import type { NotificationHook } from "@slipway/proto";
import type { Violations } from "../validate.js";

const MAX_HOOKS = 8;

/** Checks who is told of deployments. */
export function checkHooks(
  hooks: readonly NotificationHook[],
  found: Violations,
): NotificationHook[] {
  const field = "spec.notification_hooks";
  found.check(hooks.length <= MAX_HOOKS, field, `must be at most ${MAX_HOOKS}`);
  const urls = hooks.slice(0, MAX_HOOKS).map(({ url }) => url);
  for (const [index, url] of urls.entries()) {
    const at = `${field}[${index}].url`;
    found.text(at, url, 2_048);
    found.check(urls.indexOf(url) === index, at, "is there twice");
    checkUrl(url, at, found);
  }
  return hooks.map(({ url }) => ({ url }));
}

function checkUrl(text: string, field: string, found: Violations): void {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    found.add(field, text === "" ? "is missing" : "must be a URL");
    return;
  }
  const isHttp = url.protocol === "http:" || url.protocol === "https:";
  found.check(isHttp, field, "must be an http or https URL");
  // Specs are shown to whoever asks.
  const plain = url.username === "" && url.password === "";
  found.check(plain, field, "must not hold credentials: receivers check the signature");
  found.check(url.hash === "", field, "must not have a fragment");
}
