/** Error code of the server: the key has another revision than was expected. */
const WRONG_LAST_SEQUENCE = 10_071;

/** Whether a write was refused because somebody else has written the key meanwhile. */
export function isWrongRevision(error: unknown): boolean {
  const { api_error: api } = error as { api_error?: { err_code?: number } };
  return api?.err_code === WRONG_LAST_SEQUENCE;
}
