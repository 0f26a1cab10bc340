import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** A file that should hold certificates cannot be used. */
export class CertificateFileError extends Error {
  override readonly name = "CertificateFileError";
}

/**
 * Looks whether the files hold certificates, by the option that named each, before servers are tried
 * that would all be refused for want of them.
 * @throws CertificateFileError with a line that names the option and the file.
 */
export function checkCertificateFiles(files: Readonly<Record<string, string | undefined>>): void {
  for (const [option, file] of Object.entries(files)) {
    if (file !== undefined) readCertificates(option, file);
  }
}

function readCertificates(option: string, file: string): void {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new CertificateFileError(`${option}: ${file} cannot be read: ${reason}`, {
      cause: error,
    });
  }
  const found = text.match(CERTIFICATE);
  if (found === null) {
    throw new CertificateFileError(
      `${option}: ${file} holds no certificate in PEM ("-----BEGIN CERTIFICATE-----")`,
    );
  }
  for (const pem of found) {
    try {
      void new X509Certificate(pem);
    } catch (error) {
      throw new CertificateFileError(
        `${option}: a certificate in ${file} cannot be read: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }
}
