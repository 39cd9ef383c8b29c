/** Who issued a certificate, and when it was valid. */
import { utf8 } from '../../src/base/bytes.ts';
import { type Bench, type SigstoreCase } from './sigstore-case.ts';
import * as forge from './sigstore-forge.ts';
import {
  leafExtensions,
  invalid,
  rootOf,
  middleOf,
  leafOf,
  signed,
  fulcio,
  type Plan,
} from './sigstore-issue.ts';

export function chainCases(bench: Bench): readonly SigstoreCase[] {
  return [...chains(bench), ...times(bench)];
}

function chains(bench: Bench): readonly SigstoreCase[] {
  const [root, middle, leaf] = [rootOf(bench), middleOf(bench), leafOf(bench)];
  const made = (
    name: string,
    code: SigstoreCase['code'],
    chain: readonly Uint8Array[],
    plan: { leaf?: Uint8Array; ca?: string } = {},
    stricter?: string,
  ): SigstoreCase => {
    const requirement = fulcio(bench, {}, plan.ca ?? forge.certificatePem(root));
    return {
      name: `chain: ${name}`,
      requirement,
      attachment: signed(bench, plan.leaf ?? leaf, chain),
      code,
      ...(stricter !== undefined && { stricter }),
    };
  };
  const byMiddle = (plan: Plan): readonly Uint8Array[] => [middleOf(bench, plan), root];
  const leafWith = (...usages: readonly Uint8Array[]): { leaf: Uint8Array } => ({
    leaf: leafOf(bench, { extensions: [...usages, ...leafExtensions.slice(1)] }),
  });
  const direct = { issuer: 'root', by: bench.root };
  const pem = forge.certificatePem;
  const stranger = forge.ecKey();
  const constraint = forge.extension(
    '2.5.29.30',
    forge.der(0x30, forge.der(0xa0, forge.der(0x30, forge.der(0x81, utf8('example.com'))))),
    true,
  );
  return [
    made('the root left out, the intermediate counts as one', invalid, [middle]),
    made('empty', invalid, []),
    made('the intermediate among the roots', 'accepted', [], { ca: pem(middle) }),
    made('the leaf itself among the roots', 'accepted', [], { ca: pem(leaf) }),
    made('directly below the root', 'accepted', [root], { leaf: leafOf(bench, direct) }),
    made('in another order', 'accepted', [root, middle, root]),
    made('another root', invalid, [middle, root], { ca: pem(rootOf(bench, { key: stranger })) }),
    made('an intermediate of another key', invalid, byMiddle({ key: stranger })),
    made('an intermediate signed by another', invalid, byMiddle({ by: stranger })),
    made('a leaf signed by another', invalid, [middle, root], { leaf: leafOf(bench, { by: stranger }) }),
    made('an intermediate that is no authority', invalid, byMiddle({ extensions: [] })),
    made('an intermediate of version 1', invalid, byMiddle({ version: 1, extensions: [] })),
    made('a root of version 1', 'accepted', [middle, root], {
      ca: pem(rootOf(bench, { version: 1, extensions: [] })),
    }),
    made('a root that is no authority', invalid, [middle, root], {
      ca: pem(rootOf(bench, { extensions: [] })),
    }),
    made(
      'an intermediate that may not sign certificates',
      invalid,
      byMiddle({ extensions: [forge.authority(), keyUsage(0x80)] }),
    ),
    made(
      'an intermediate that may',
      'accepted',
      byMiddle({ extensions: [forge.authority(), keyUsage(0x06)] }),
    ),
    made(
      'an intermediate for other things',
      invalid,
      byMiddle({ extensions: [forge.authority(), forge.usages('1.3.6.1.5.5.7.3.1')] }),
    ),
    made(
      'an intermediate for anything',
      'accepted',
      byMiddle({ extensions: [forge.authority(), forge.usages('2.5.29.37.0')] }),
    ),
    made('an intermediate without usages', 'accepted', byMiddle({ extensions: [forge.authority()] })),
    made('a root for other things', invalid, [middle, root], {
      ca: pem(rootOf(bench, { extensions: [forge.authority(), forge.usages('1.3.6.1.5.5.7.3.1')] })),
    }),
    made('a path that is too long', invalid, [middle, root], {
      ca: pem(rootOf(bench, { extensions: [forge.authority(0)] })),
    }),
    made('a path that is as long as it may be', 'accepted', [middle, root], {
      ca: pem(rootOf(bench, { extensions: [forge.authority(1)] })),
    }),
    made('a leaf without usages', 'accepted', [middle, root], leafWith()),
    made('a leaf for other things', invalid, [middle, root], leafWith(forge.usages('1.3.6.1.5.5.7.3.1'))),
    made(
      'a leaf for several things',
      'accepted',
      [middle, root],
      leafWith(forge.usages('1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.3')),
    ),
    made('a leaf for anything', 'accepted', [middle, root], leafWith(forge.usages('2.5.29.37.0'))),
    made(
      'an intermediate with name constraints that hold',
      invalid,
      byMiddle({ extensions: [forge.authority(), constraint] }),
      {},
      'name-constraints',
    ),
    made('SHA-384', 'accepted', byMiddle({ hash: 'sha384' })),
    made('SHA-1', invalid, byMiddle({ hash: 'sha1' })),
    made('a root that cannot be read beside a good one', 'accepted', [middle, root], {
      ca: forge.pemText('CERTIFICATE', Uint8Array.of(0x30, 0)) + pem(root),
    }),
    made('a root file without certificates', 'trust.key-unavailable', [middle, root], {
      ca: forge.pemOf(bench.root),
    }),
  ];
}

function keyUsage(bits: number): Uint8Array {
  return forge.extension('2.5.29.15', forge.der(0x03, Uint8Array.of(1, bits)), true);
}

function times(bench: Bench): readonly SigstoreCase[] {
  const requirement = fulcio(bench);
  const { logged } = bench;
  const [root, middle, leaf] = [rootOf(bench), middleOf(bench), leafOf(bench)];
  const at = (
    name: string,
    time: number,
    code: SigstoreCase['code'],
    chain: readonly Uint8Array[] = [middle, root],
  ): SigstoreCase => {
    return { name: `time: ${name}`, requirement, attachment: signed(bench, leaf, chain, time), code };
  };
  return [
    at('the first second', logged - 60, 'accepted'),
    at('the last second', logged + 60, 'accepted'),
    at('not valid yet', logged - 61, invalid),
    at('expired', logged + 61, invalid),
    at('an intermediate that was not valid yet', logged, invalid, [
      middleOf(bench, { from: logged + 1 }),
      root,
    ]),
    at('an intermediate that had expired', logged, invalid, [middleOf(bench, { to: logged - 1 }), root]),
    {
      name: 'time: a root that had expired',
      requirement: fulcio(bench, {}, forge.certificatePem(rootOf(bench, { to: logged - 1 }))),
      attachment: signed(bench, leaf, [middle, root]),
      code: invalid,
    },
    at('before the epoch', -1, invalid),
    at('far away', 9_000_000_000_000_000, invalid),
  ];
}
