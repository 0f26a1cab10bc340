/** What somebody would say who wants a string to be taken for something else, by what it tries. */
export const HOSTILE: Readonly<Record<string, string>> = {
  "a statement more": "x'; drop table builds; --",
  "other quotes": "x\"\\'); delete from tokens; /*",
  "a statement's bindings": "? ?? :name $1 $$; select pg_sleep(60); $$",
  "a NUL": "a\0b",
  "a line of a log": 'x\n{"level":60,"msg":"forged"}\r\n',
  "what steers a terminal": "\u001b[2J\u001b]0;owned\u0007\u009b31m\u007f",
  "another direction": "abc\u202ecba\u2066x\u2069",
  "wildcards of subjects": "eu.*.>",
  "a path": "../../../../etc/passwd",
  "an option": "--upload-pack=touch /tmp/owned",
  "a transport of git's": "ext::sh -c 'touch /tmp/owned'",
  "a prototype": "__proto__",
  much: "x".repeat(1_000_000),
};
