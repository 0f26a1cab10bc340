/** What `slipway app apply --example` prints: every key that an application file may have. */
export const APPLICATION_EXAMPLE = `# An application: what to build, how to run it, and where.
# Apply it with: slipway app apply -f app.yaml

name: web                     # lower-case letters, digits and hyphens
repository: https://git.example.com/shop/web.git   # anything that git takes, or an absolute path
trunk: main                   # only commits that this branch reaches are built (default main)
allowUnmerged: false          # true: build other commits too

build:
  command: [make, release]    # run in the root of the checkout, without a shell
  artifact: out/web           # the file that the command leaves; must not be empty
  format: executable          # executable (default), or tar, which is unpacked on the hosts
  timeout: 15m                # default 15m, at most 24h
  maxAttempts: 3              # how often when builders are lost; a failing command is not repeated
  environment:
    CGO_ENABLED: "0"

run:
  command: [./web, --port, "\${PORT}"]   # run in the release folder
  environment:                # \${NAME} takes its value from the release's environment
    LOG_LEVEL: info
  health:                     # one of http, tcp and command
    http: http://127.0.0.1:\${PORT}/healthz
    # tcp: 127.0.0.1:\${PORT}
    # command: [./web, check]
    interval: 1s              # between checks
    timeout: 2s               # of one check
    deadline: 30s             # not healthy by then: the host goes back to the release before
  stopTimeout: 10s            # from SIGTERM to SIGKILL
  executableName: web         # of the artifact in the release folder (default: its own name)

regions: [eu, us]             # where it runs
selector:                     # only on hosts with all of these labels; none takes every host
  role: web
`;
