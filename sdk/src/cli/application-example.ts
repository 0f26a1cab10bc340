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
  secrets:                    # variables whose values each host looks up when it starts the release
    DB_PASSWORD:
      file: /run/secrets/web-db          # an absolute path on the host
    API_TOKEN:
      command: [/usr/local/bin/vault-read, web/token]   # of the host; its output is the value
  workingDirectory: .         # where the commands run, inside the release folder (default: the folder)
  health:                     # one of http, tcp and command
    http: http://127.0.0.1:\${PORT}/healthz
    # tcp: 127.0.0.1:\${PORT}
    # command: [./web, check]
    interval: 1s              # between checks
    timeout: 2s               # of one check
    deadline: 30s             # not healthy by then: the host goes back to the release before
  preActivate:                # while the release before still runs; if it fails, the host keeps that
    command: [./web, migrate]
    timeout: 30s              # default 30s, at most 1h
  postActivate:               # once the release is healthy
    command: [./web, warm-up]
  drain:                      # when the release is told to stop, before SIGTERM
    command: [./web, drain]
  drainTime: 5s               # between the drain command and SIGTERM (default 0s, at most 1h)
  stopTimeout: 10s            # from SIGTERM to SIGKILL
  executableName: web         # of the artifact in the release folder (default: its own name)

regions: [eu, us]             # where it runs
selector:                     # only on hosts with all of these labels; none takes every host
  role: web

strategy:                     # how deployments go; what is left out has the default
  waves:                      # one after the other; in the end each region must be at 100 percent
    - regions: [eu]           # of those above
      percents: [10, 100]     # of each region's hosts, one step each (default [100])
      bakeTime: 30s           # its hosts must stay healthy after each step (default 30s, at most 24h)
    - regions: ["*"]          # all of them
      requiresApproval: true  # waits until somebody else than the creator promotes it
  maxSwitchingPercent: 25     # of a region's hosts, how many may be switching at once
  failureBudget:              # of the hosts told to switch so far
    failedPercent: 2          # more failed ones end the deployment
    silentPercent: 5          # more silent ones pause it
  stageTimeout: 30m           # for a step's hosts to get the bytes
  activateTimeout: 10m        # for a step's hosts to switch and become healthy
  timeout: 6h                 # for all of it, without pauses
  promotion: automatic        # manual: every step but the first waits for slipway promote
  onFailure: rollBack         # stop: hosts keep what they have

notificationHooks:            # told of deployments that end or pause; at most 8
  - url: https://chat.example.com/hooks/deployments
`;
