import { ApplicationSpec } from "@slipway/proto";

const PARTS = [
  ["source", "source"],
  ["build", "build"],
  ["run", "run"],
  ["regions", "regions"],
  ["selector", "selector"],
  ["strategy", "strategy"],
  ["notificationHooks", "notification_hooks"],
] as const;

/** Which parts of a spec differ, for a person: values may be long, or nobody's business. */
export function describeChange(before: ApplicationSpec, after: ApplicationSpec): string {
  const differ = PARTS.filter(([part]) => !isSame(before, after, part)).map(([, name]) => name);
  return differ.length === 0 ? "unchanged" : `${differ.join(", ")} changed`;
}

function isSame(a: ApplicationSpec, b: ApplicationSpec, part: keyof ApplicationSpec): boolean {
  const encode = (spec: ApplicationSpec): Buffer =>
    Buffer.from(
      ApplicationSpec.encode(ApplicationSpec.fromPartial({ [part]: spec[part] })).finish(),
    );
  return encode(a).equals(encode(b));
}
