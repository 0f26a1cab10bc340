/** Of a certificate's life, when it is renewed: not all agents that joined together at one moment. */
const FROM = 0.6;
const TO = 2 / 3;

/**
 * When a certificate is to be renewed, in milliseconds since 1970: with two fifths to a third of its
 * life left, by chance. Pure.
 * @param chance - From 0 to 1, drawn once for a certificate.
 */
export function renewalTime(
  { issueTime, expireTime }: { issueTime: Date; expireTime: Date },
  chance: number,
): number {
  const life = Math.max(0, expireTime.getTime() - issueTime.getTime());
  return issueTime.getTime() + life * (FROM + (TO - FROM) * chance);
}
