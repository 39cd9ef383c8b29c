/** `trust`: show, set, check and explain policy.json. Each verb has its file; this is their door. */
export { checkTrust, type CheckedTrust, type CheckTrustRequest } from './trust/check.ts';
export {
  type ExplainedKey,
  type ExplainedRequirement,
  explainTrust,
  type ExplainTrustRequest,
  type TrustExplanation,
} from './trust/explain.ts';
export {
  type IdentityJson,
  setTrust,
  type SetTrustRequest,
  type TrustSet,
  type TrustType,
  trustTypes,
} from './trust/set.ts';
export { showTrust, type ShowTrustRequest, type TrustRow, type TrustShown } from './trust/show.ts';
