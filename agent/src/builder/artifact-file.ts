import { constants } from "node:fs";
import { open, readdir, realpath, type FileHandle } from "node:fs/promises";
import path from "node:path";
import process from "node:process";
import { ArtifactFormat, BuildFailureReason } from "@slipway/proto";
import { errorCode } from "../store/errors.js";
import { BuildError } from "./failure.js";

const TAR_BLOCK_BYTES = 512;
const NAMES_SHOWN = 20;

/** A build's artifact, held open. */
export interface FoundArtifact {
  /** By which it can be read, as long as it is held: the very file that was looked at. */
  file: string;
  sizeBytes: number;
  close(): Promise<void>;
}

/**
 * The file that a build left as its artifact.
 * @param owner - Whose it must be: a builder that reads more than the build's user could be had to
 *   take somebody else's file for the artifact. Undefined: anybody's.
 * @throws BuildError ARTIFACT_INVALID that says what was found instead.
 */
export async function findArtifact(
  checkout: string,
  artifactPath: string,
  format: ArtifactFormat,
  owner?: number,
): Promise<FoundArtifact> {
  if (artifactPath === "" || path.isAbsolute(artifactPath) || artifactPath.includes("\0")) {
    throw invalid(`${JSON.stringify(artifactPath)} is not a path relative to the checkout`);
  }
  const root = await realpath(checkout);
  const wanted = path.resolve(root, artifactPath);
  if (!isInside(root, wanted)) throw invalid(`${artifactPath} is outside the checkout`);
  const file = await realpath(wanted).catch(async (error: unknown) => {
    const code = errorCode(error);
    if (code === "ELOOP") throw invalid(`${artifactPath} is a link to itself`);
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    throw invalid(`the build command left no ${artifactPath}; ${await holds(root, wanted)}`);
  });
  if (!isInside(root, file)) {
    throw invalid(`${artifactPath} is a link that leads outside the checkout, to ${file}`);
  }
  // Neither a link that has come there since, nor a pipe that nobody writes to.
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const handle = await open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch((error: unknown) => {
    throw invalid(`${artifactPath} cannot be read: ${errorCode(error)}`);
  });
  try {
    const info = await handle.stat();
    if (!info.isFile()) {
      const kind = info.isDirectory()
        ? "a directory: make one file of it, such as a tar"
        : "no file";
      throw invalid(`${artifactPath} is ${kind}`);
    }
    if (owner !== undefined && info.uid !== owner) {
      throw invalid(`${artifactPath} was not made by the build: it belongs to another user`);
    }
    if (info.size === 0) throw invalid(`${artifactPath} is empty`);
    if (format === ArtifactFormat.TAR) await refuseOtherThanTar(handle, artifactPath);
    const held = process.platform === "linux" ? `/proc/self/fd/${handle.fd}` : file;
    return { file: held, sizeBytes: info.size, close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** What the start of a file says that it is; undefined for a tar, or a gzip that may hold one. */
export function notTar(start: Buffer): string | undefined {
  if (start[0] === 0x1f && start[1] === 0x8b) return undefined;
  if (start.length >= TAR_BLOCK_BYTES && hasTarChecksum(start)) return undefined;
  const magic = start.toString("hex", 0, 6);
  if (magic.startsWith("504b0304")) return "a zip file";
  if (magic.startsWith("28b52ffd")) return "compressed with zstd, and only gzip is known";
  if (magic === "fd377a585a00") return "compressed with xz, and only gzip is known";
  if (magic.startsWith("425a68")) return "compressed with bzip2, and only gzip is known";
  if (magic.startsWith("7f454c46")) return "an ELF executable";
  return `no tar: it starts with the bytes ${magic}`;
}

/** A header's checksum takes its own field as spaces. */
function hasTarChecksum(header: Buffer): boolean {
  const stated = Number.parseInt(
    header.toString("latin1", 148, 156).replaceAll("\0", " ").trim(),
    8,
  );
  let sum = 0;
  for (let index = 0; index < TAR_BLOCK_BYTES; index++) {
    sum += index >= 148 && index < 156 ? 32 : (header[index] ?? 0);
  }
  return stated === sum;
}

async function refuseOtherThanTar(handle: FileHandle, artifactPath: string): Promise<void> {
  const start = Buffer.alloc(TAR_BLOCK_BYTES);
  const { bytesRead: size } = await handle.read(start, 0, start.length, 0);
  const found = notTar(start.subarray(0, size));
  if (found !== undefined) {
    throw invalid(`the application's artifact is a tar, but ${artifactPath} is ${found}`);
  }
}

/** What there is where the artifact should be, for whoever mistyped its path. */
async function holds(root: string, wanted: string): Promise<string> {
  for (let folder = path.dirname(wanted); isInside(root, folder); folder = path.dirname(folder)) {
    const names = await readdir(folder).catch(() => undefined);
    if (names === undefined) continue;
    const shown = names.filter((name) => name !== ".git").sort();
    const more = shown.length > NAMES_SHOWN ? `, and ${shown.length - NAMES_SHOWN} more` : "";
    const where = path.relative(root, folder) || "the root of the checkout";
    const what = shown.slice(0, NAMES_SHOWN).join(", ") || "nothing";
    return `${where} holds ${what}${more}`;
  }
  return "the checkout is gone";
}

function isInside(root: string, file: string): boolean {
  return file === root || file.startsWith(root + path.sep);
}

function invalid(message: string): BuildError {
  return new BuildError(BuildFailureReason.ARTIFACT_INVALID, message);
}
