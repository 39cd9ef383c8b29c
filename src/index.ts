/**
 * Bulla as a library. The verbs take plain requests and a world (`openWorld`) that holds connections
 * and configuration; `verify` opens one of its own where none is given. Every error is a BullaError
 * with a stable code.
 */
export { BullaError, type ErrorCode, type ExitCode, errorCodes, isBullaError } from './base/errors.ts';
export { type Digest, digestOf, parseDigest } from './base/digest.ts';
export { formatImageName, type ImageName, parseImageName, type Transport } from './base/image-name.ts';
export { formatReference, parseReference, type Reference } from './base/reference.ts';
export { version } from './base/version.ts';
export type { Signature } from './formats/signature.ts';
export type { Image, ImageSink } from './images/image.ts';
export { openImage, openSink } from './images/open.ts';
export { type FulcioOptions, openFulcioSigner } from './keys/fulcio/open-fulcio-signer.ts';
export { findAmbientToken } from './keys/oidc/ambient.ts';
export { fileToken, givenToken, type TokenSource } from './keys/oidc/token-source.ts';
export { type KeyFileContext, openSigstoreKeyFile } from './keys/open-key-file.ts';
export { openKeyUri, readPublicKeyUri } from './keys/open-key-uri.ts';
export { openSigner, type SignerContext } from './keys/open-signer.ts';
export type { KeyKind, Signer, SigstoreSigner } from './keys/signer.ts';
export {
  chooseServices,
  type ChosenServices,
  parseSigningConfig,
  type SigningConfig,
} from './keys/signing-config.ts';
export { parseTrustedRoots } from './keys/trusted-root/parse.ts';
export type { TrustedRoot } from './keys/trusted-root/trusted-root.ts';
export { attest, type AttestReceipt, type AttestRequest } from './operations/attest.ts';
export { type Copied, copy, type CopyRequest, type NotCopied } from './operations/copy.ts';
export { type Inspection, inspect, type InspectRequest } from './operations/inspect.ts';
export type { JudgedBy } from './operations/judge.ts';
export {
  deleteKey,
  exportKey,
  extendKey,
  findKey,
  type Generated,
  generateKey,
  type GenerateTarget,
  importKeys,
  type KeyContext,
  listKeys,
  revokeKey,
} from './operations/keys.ts';
export {
  type ImageImpact,
  type KeyImpact,
  keyImpact,
  type KeyImpactRequest,
} from './operations/key-impact.ts';
export { currentLogin, login, type LoginRequest, logout } from './operations/login.ts';
export type { Lineage, LineageSide, LineageSigner } from './operations/promote/lineage.ts';
export {
  type Foreseen,
  type NotPromoted,
  promote,
  type Promoted,
  type PromoteRequest,
  type PromotionMode,
} from './operations/promote.ts';
export { pull, type Pulled, type PullRequest } from './operations/pull.ts';
export { push, type PushRequest } from './operations/push.ts';
export { publicTrustedRoots } from './operations/judge/public-root.ts';
export { type ResignedImage, resign, type ResignReceipt, type ResignRequest } from './operations/resign.ts';
export { sign, type SignedInstances, type SignReceipt, type SignRequest } from './operations/sign.ts';
export { signBlob, type SignedBlob } from './operations/sign-blob.ts';
export type { SigningFormat, SigningPlan, Witnesses } from './operations/sign/plan.ts';
export { readStages, type Stage, type StagedName, type Stages } from './operations/stages.ts';
export { stagesStatus, type StagesStatus } from './operations/promote/stages-status.ts';
export { standaloneSign, standaloneVerify } from './operations/standalone.ts';
export { checkStore, type StoreCheck } from './operations/store/check.ts';
export { parseStoreName, type StoreName } from './operations/store/name.ts';
export { type MergeOptions, mergeStores, type StoreMerge } from './operations/stores.ts';
export {
  createTransfer,
  type CreateTransferRequest,
  type TransferCreated,
  type TransferNotCreated,
} from './operations/transfer/create.ts';
export {
  type ImportedKey,
  importTransferKeys,
  type ImportTransferKeysRequest,
} from './operations/transfer/import.ts';
export {
  loadTransfer,
  type LoadTransferRequest,
  type TransferLoaded,
  type TransferNotLoaded,
} from './operations/transfer/load.ts';
export { showTransfer, type ShowTransferRequest, type TransferShown } from './operations/transfer/show.ts';
export { verifyTransfer, type VerifyTransferRequest } from './operations/transfer/verify.ts';
export {
  type SyncedImage,
  sync,
  type SyncReceipt,
  type SyncRequest,
  type SyncWorlds,
} from './operations/sync.ts';
export { type CheckedImage, checkSync, type CheckRequest, type SyncCheck } from './operations/sync/check.ts';
export { readSyncFile, type SyncFile, type SyncSettings } from './operations/sync/file.ts';
export type { SyncSource, SyncTarget } from './operations/sync/plan.ts';
export {
  checkTrust,
  type CheckedTrust,
  type CheckTrustRequest,
  type ExplainTrustRequest,
  explainTrust,
  setTrust,
  type SetTrustRequest,
  showTrust,
  type ShowTrustRequest,
  type TrustExplanation,
  type TrustRow,
  type TrustSet,
  type TrustShown,
} from './operations/trust.ts';
export { type ImportedTrust, importTrust, type ImportTrustRequest } from './operations/trust/import.ts';
export { type RenderedTrust, renderTrust, type RenderTrustRequest } from './operations/trust/render.ts';
export { updateTrust, type UpdateTrustRequest } from './operations/trust/update.ts';
export { type ImageVerdict, type InstanceVerdict, verify, type VerifyRequest } from './operations/verify.ts';
export { type BlobProof, verifyBlob, type VerifyBlobRequest } from './operations/verify-blob.ts';
export { parseWhere, type Where } from './operations/where.ts';
export { openWorld, type World, type WorldOptions } from './operations/world.ts';
export type { SignatureStore } from './stores/store.ts';
export {
  type CertificateIdentity,
  type FulcioField,
  parsePattern,
  type TextRule,
} from './trust/identity-rule.ts';
export type { RequirementVerdict, SignatureVerdict, Verdict } from './trust/verdict.ts';
