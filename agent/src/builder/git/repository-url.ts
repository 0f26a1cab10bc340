/** What git may speak: all that it has built in. No `ext::` and the like, which run any command. */
export const ALLOWED_PROTOCOLS = ["https", "http", "ssh", "git", "file"] as const;

const URL_MAX = 2048;

/** Why git must not be given this as a repository; undefined if it may. */
export function refuseRepository(repository: string): string | undefined {
  if (repository === "") return "the application names no repository";
  if (repository.length > URL_MAX) return `the repository's name is over ${URL_MAX} characters`;
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(repository)) return "the repository has control characters";
  if (repository.startsWith("-")) return "the repository looks like an option of git";
  if (/^[A-Za-z0-9+.-]+::/.test(repository)) {
    return `remote helpers ("${repository.split("::")[0]}::") are not allowed`;
  }
  if (repository.startsWith("/")) return undefined;
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(repository)?.[1];
  if (scheme !== undefined) {
    if (!(ALLOWED_PROTOCOLS as readonly string[]).includes(scheme)) {
      return `${scheme}: is not allowed; use one of ${ALLOWED_PROTOCOLS.join(", ")}`;
    }
    const authority = repository.slice(scheme.length + 3).split("/")[0] ?? "";
    const host = authority.slice(authority.lastIndexOf("@") + 1);
    if (host.startsWith("-") || authority.startsWith("-")) {
      return "the repository's host looks like an option";
    }
    if (host === "" && scheme !== "file") return "the repository's URL has no host";
    return undefined;
  }
  // The short form of ssh: [user@]host:path.
  const short = /^(?:([^@/:]+)@)?([^@/:]+):(.+)$/.exec(repository);
  if (short === null) return "the repository is neither a URL nor an absolute path";
  return short[2]?.startsWith("-") || short[1]?.startsWith("-") || short[3]?.startsWith("-")
    ? "the repository's host or path looks like an option"
    : undefined;
}

/** A path on this machine, which no network is in between of. */
export function isLocal(repository: string): boolean {
  return repository.startsWith("/") || repository.startsWith("file://");
}

/**
 * For a repository on this machine git runs the serving side itself: let it serve any commit, and
 * histories without files, whatever the repository is configured to do for others.
 */
export function localServer(repository: string): string[] {
  if (!isLocal(repository)) return [];
  const settings = ["uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"];
  return [`--upload-pack=git ${settings.map((name) => `-c ${name}=true`).join(" ")} upload-pack`];
}

/** Why this cannot be a branch; undefined if it can. Follows `git check-ref-format`. */
export function refuseTrunk(trunk: string): string | undefined {
  // eslint-disable-next-line no-control-regex
  const bad = /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|(^|\/)\.|\.lock(\/|$)|[./]$|^[-/]/;
  return trunk.length > 255 || bad.test(trunk)
    ? `${JSON.stringify(trunk.slice(0, 255))} cannot be the name of a branch`
    : undefined;
}

/** Takes passwords and tokens out of the URLs in a text. */
export function redactCredentials(text: string): string {
  return text
    .replace(/\b(https?|ftp|git):\/\/[^\s/@]+@/gi, "$1://***@")
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s/@:]*):[^\s/@]+@/gi, "$1:***@");
}
