import { HostPhase, type Host, type HostApplicationStatus } from "@slipway/proto";

/** Which hosts to show, and of each what it says of which applications; what is absent takes all. */
export interface HostChoice {
  app?: string;
  /** One of `CHOOSABLE_PHASES`. */
  phase?: string;
}

/** What stands for hosts that are not heard of, whatever they said last. */
const SILENT = "silent";

/** What --phase takes. */
export const CHOOSABLE_PHASES: readonly string[] = [
  ...Object.values(HostPhase)
    .filter((phase): phase is HostPhase => typeof phase === "number")
    .filter((phase) => phase !== HostPhase.UNSPECIFIED && phase !== HostPhase.UNRECOGNIZED)
    .map(phaseName),
  SILENT,
];

/** What a host says of the applications that were chosen. */
export function chosenApplications(
  { status, silent }: Host,
  { app, phase }: HostChoice,
): HostApplicationStatus[] {
  return (status?.applications ?? []).filter(
    (one) =>
      (app === undefined || one.application === app) &&
      (phase === undefined || phase === (silent ? SILENT : phaseName(one.phase))),
  );
}

/** Whether a host is to be shown. */
export function isChosen(host: Host, choice: HostChoice): boolean {
  const { phase } = choice;
  if (phase === undefined || (phase === SILENT && host.silent)) return true;
  return chosenApplications(host, choice).length > 0;
}

function phaseName(phase: HostPhase): string {
  return (HostPhase[phase] ?? "").toLowerCase();
}
