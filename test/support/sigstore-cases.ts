/**
 * Signatures and sigstoreSigned requirements, one for each rule that decides about them. The unit test asks
 * Bulla, the interop test skopeo too.
 */
import type { Bench, SigstoreCase } from './sigstore-case.ts';
import { keyCases } from './sigstore-cases-key.ts';
import { chainCases } from './sigstore-cases-chain.ts';
import { fulcioCases } from './sigstore-cases-fulcio.ts';
import { pkiCases } from './sigstore-cases-pki.ts';
import { logCases } from './sigstore-cases-log.ts';

export function allCases(bench: Bench): readonly SigstoreCase[] {
  return [
    ...keyCases(bench),
    ...logCases(bench),
    ...fulcioCases(bench),
    ...chainCases(bench),
    ...pkiCases(bench),
  ];
}
