import { Build, BuildStatus, LogLine } from "@slipway/proto";
import type { BuildEvent } from "../build-watch.js";
import { EXIT } from "./exit-code.js";
import { messageJson } from "./json.js";
import { buildLine, logLine } from "./render/build.js";
import { lookOf, note, printEvent, type Session } from "./session.js";

/** Shows a build until its end, or until it is deployable. */
export async function followBuild(
  session: Session,
  id: string,
  options: { logs: boolean; untilDeployable: boolean },
): Promise<number> {
  const { client, json, stdout, signal } = session;
  let status = BuildStatus.UNSPECIFIED;
  let lastLine = "";
  try {
    for await (const event of client.builds.watch(id, { ...options, signal })) {
      if (event.type === "build") status = event.build.status;
      if (json) {
        await printEvent(session, buildEventJson(event));
        continue;
      }
      const look = lookOf(session);
      if (event.type === "log") {
        await stdout.write(`${logLine(event.line, look, stdout.isTerminal)}\n`);
        continue;
      }
      const line = buildLine(event.build, look);
      if (line !== lastLine) await stdout.write(`${line}\n`);
      lastLine = line;
    }
  } catch (error) {
    if (signal.aborted && !json) {
      await note(session, `The build goes on. See it again with: slipway build watch ${id}`);
    }
    throw error;
  }
  return status === BuildStatus.SUCCEEDED ? EXIT.ok : EXIT.failed;
}

function buildEventJson(event: BuildEvent): object {
  return event.type === "build"
    ? { type: "build", build: messageJson(Build, event.build) }
    : { type: "log", line: messageJson(LogLine, event.line) };
}
