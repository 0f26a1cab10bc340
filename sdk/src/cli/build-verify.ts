import type { VerifiedBuild } from "../provenance.js";
import { UsageError } from "./exit-code.js";
import { verifiedFacts } from "./render/provenance.js";
import type { AddCommand } from "./run.js";
import { lookOf, print } from "./session.js";

interface Options {
  membershipPublicKey: string[];
  repository?: string;
  commit?: string;
}

export const addBuildVerify: AddCommand = (group, run) => {
  group
    .command("verify")
    .summary("check who built it from what, without believing the coordinator")
    .description(
      "Checks what the builder signed of a build: its signature, that it was a member of the fleet " +
        "when the build ended, and that it is of this build, its artifact, commit and repository. " +
        "Exits 1 and says what does not fit if anything does not.",
    )
    .argument("<build>", "the build's id")
    .requiredOption(
      "--membership-public-key <file>",
      "the fleet's (PEM); may be given several times, and one must fit",
      (file: string, files: string[] | undefined) => [...(files ?? []), file],
    )
    .option("--repository <url>", "must be its source; default: as the application says")
    .option("--commit <sha>", "must be its commit; default: as the build says")
    .addHelpText(
      "after",
      "\nExample:\n  slipway build verify BUILD --membership-public-key membership.key.pub",
    )
    .action(
      run(async (session, id: string, options: Options) => {
        const { client, signal, readFile } = session;
        const { membershipPublicKey: files, repository, commit } = options;
        const membershipPublicKeys = await Promise.all(files.map((file) => readFile(file)));
        const request = {
          membershipPublicKeys,
          signal,
          ...(repository === undefined ? {} : { repository }),
          ...(commit === undefined ? {} : { commitSha: commit }),
        };
        const verified = await client.builds.verify(id, request).catch((error: unknown) => {
          if (!(error instanceof TypeError)) throw error;
          throw new UsageError(`${files.join(", ")}: ${error.message}`);
        });
        await print(
          session,
          () => document(verified),
          () => verifiedFacts(verified, lookOf(session)),
        );
      }),
    );
};

function document({ build, repository, provenance }: VerifiedBuild): unknown {
  const { id, commitSha, artifact } = build;
  const { publicKey, ...rest } = provenance;
  const builderPublicKey = publicKey.export({ type: "spki", format: "pem" });
  const { digest } = artifact ?? {};
  return { verified: { buildId: id, repository, commitSha, digest, ...rest, builderPublicKey } };
}
