export { CertificateFileError, checkCertificateFiles } from "./certificate-files.js";
export { checkKeyPair } from "./key-pair.js";
export { withOptions } from "./option-files.js";
export { checkSecretFiles, SecretFileError } from "./secret-files.js";
export { explainUntrusted } from "./untrusted-server.js";
export { ShownCertificate } from "./shown-certificate.js";
export { writeSecret } from "./write-secret.js";
export { EndWarning } from "./end-warning.js";
export { Endings, endOfJwt, type Ending } from "./endings.js";
