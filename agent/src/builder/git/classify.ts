/**
 * Why git could not fetch.
 * - `no-commit`: the server does not have the commit, or does not give it by its SHA.
 * - `no-sha`: this server gives nothing by SHA; its branches may have the commit.
 * - `no-branch`: the repository has no such branch.
 * - `foreign`: the repository belongs to another user of this machine.
 * - `lasting`: it will fail again until somebody changes something.
 * - `transient`: it may work in a moment.
 * - `disk`: this machine's disk is full or broken.
 */
export type GitTrouble =
  "no-commit" | "no-sha" | "no-branch" | "foreign" | "lasting" | "transient" | "disk";

/** In this order: the first that matches says it. git's messages in the C locale. */
const PATTERNS: readonly [RegExp, GitTrouble][] = [
  [/detected dubious ownership|unsafe repository/i, "foreign"],
  [/no space left on device|disk quota exceeded|read-only file system/i, "disk"],
  [/couldn't find remote ref refs\/heads\//i, "no-branch"],
  [
    /not our ref|couldn't find remote ref|no such remote ref|mismatched algorithms|bad object/i,
    "no-commit",
  ],
  [
    /unadvertised object|does not support shallow|dumb http transport|does not support --depth/i,
    "no-sha",
  ],
  [
    /does not appear to be a git repository|repository .*not found|does not exist|no such file or directory/i,
    "lasting",
  ],
  [
    /authentication failed|could not read (username|password)|permission denied|access denied|host key verification failed|invalid credentials|terminal prompts disabled/i,
    "lasting",
  ],
  [/requested url returned error: 4(?!08|29)\d\d/i, "lasting"],
  [/transport '.*' not allowed|unable to find remote helper|certificate problem/i, "lasting"],
];

/** Reads git's error output. What is not known counts as transient: a retry costs little. */
export function classifyGitError(stderr: string): GitTrouble {
  return PATTERNS.find(([pattern]) => pattern.test(stderr))?.[1] ?? "transient";
}
