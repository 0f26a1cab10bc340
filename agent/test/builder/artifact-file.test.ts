import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { notTar } from "../../src/builder/artifact-file.js";

const test = suite("artifact file");

/** The first block of a tar, as any tar program writes it. */
function tarHeader(checksum: (sum: number) => string): Buffer {
  const header = Buffer.alloc(512);
  header.write("file\0", 0, "latin1");
  header.write("0000644\0", 100, "latin1");
  header.write("00000000001\0", 124, "latin1");
  header.write("        ", 148, "latin1");
  header.write("0ustar\u000000", 156, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(checksum(sum), 148, "latin1");
  return header;
}

const octal = (sum: number): string => sum.toString(8).padStart(6, "0");

test("knows a tar by its header's checksum, however that is written", () => {
  for (const end of ["\0 ", " \0", "\0\0"]) {
    assert.is(notTar(tarHeader((sum) => octal(sum) + end)), undefined);
  }
  assert.is(notTar(tarHeader((sum) => ` ${sum.toString(8)}\0 `.padEnd(8, " "))), undefined);
  assert.match(notTar(tarHeader((sum) => `${octal(sum + 1)}\0 `)) ?? "", /no tar/);
  assert.match(notTar(Buffer.alloc(512)) ?? "", /no tar/);
});

test("takes a gzip, and names what else it knows", () => {
  assert.is(notTar(gzipSync("x")), undefined);
  for (const [hex, what] of [
    ["504b0304", /zip/],
    ["28b52ffd00", /zstd/],
    ["fd377a585a00", /xz/],
    ["425a6839", /bzip2/],
    ["7f454c4602", /ELF/],
    ["2321", /no tar: it starts with the bytes 2321/],
  ] as const) {
    assert.match(notTar(Buffer.from(hex, "hex")) ?? "", what);
  }
});

test.run();
