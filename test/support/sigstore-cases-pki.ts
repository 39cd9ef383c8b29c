/** Certificates of one's own authority. */
import { type Bench, changed, data, type SigstoreCase } from './sigstore-case.ts';
import * as forge from './sigstore-forge.ts';
import { email, invalid, rootOf, middleOf, leafOf } from './sigstore-issue.ts';

export function pkiCases(bench: Bench): readonly SigstoreCase[] {
  const { now } = bench;
  const valid = { from: now - 60, to: now + 86_400 };
  const [root, middle] = [rootOf(bench), middleOf(bench)];
  const names = forge.altNames([
    [1, email],
    [2, 'build.example.com'],
    [2, '*.wild.example.com'],
    [7, Uint8Array.of(192, 0, 2, 1)],
  ]);
  const leaf = leafOf(bench, { ...valid, extensions: [forge.codeSigning, names] });
  const bare = forge.attach(bench.payload, bench.key);
  const pem = forge.certificatePem;
  const made = (
    name: string,
    code: SigstoreCase['code'],
    changes: Record<string, unknown> = {},
    certificate = leaf,
    chain = pem(middle, root),
  ): SigstoreCase => {
    const subject = 'subjectHostname' in changes ? {} : { subjectEmail: email };
    const requirement = { pki: { caRootsData: data(pem(root)), ...subject, ...changes } };
    return {
      name: `pki: ${name}`,
      requirement,
      attachment: changed(bare, { certificate: pem(certificate), chain }),
      code,
    };
  };
  const other = 'signature.wrong-signer';
  return [
    made('by mail address', 'accepted'),
    made('by host', 'accepted', { subjectHostname: 'build.example.com' }),
    made('by host in capitals, with the last dot', 'accepted', { subjectHostname: 'BUILD.example.com.' }),
    made('by a host of the wildcard', 'accepted', { subjectHostname: 'a.wild.example.com' }),
    made('two labels for a wildcard', other, { subjectHostname: 'a.b.wild.example.com' }),
    made('no label for a wildcard', other, { subjectHostname: 'wild.example.com' }),
    made('by address', 'accepted', { subjectHostname: '192.0.2.1' }),
    made('by address in brackets, as IPv6', 'accepted', { subjectHostname: '[::ffff:c000:201]' }),
    made('by another address', other, { subjectHostname: '192.0.2.2' }),
    made('by both', 'accepted', { subjectHostname: 'build.example.com', subjectEmail: email }),
    made('by both, one of them wrong', other, {
      subjectHostname: 'build.example.com',
      subjectEmail: 'eve@example.com',
    }),
    made('another host', other, { subjectHostname: 'example.com' }),
    made('another mail address', other, { subjectEmail: 'eve@example.com' }),
    made('an intermediate of the policy', 'accepted', { caIntermediatesData: data(pem(middle)) }, leaf, ''),
    made('no intermediate', invalid, {}, leaf, ''),
    made('an intermediate file without certificates', 'trust.key-unavailable', {
      caIntermediatesData: data('none'),
    }),
    made('expired', invalid, {}, leafOf(bench, { extensions: [forge.codeSigning, names] })),
    made(
      'not for signing code',
      invalid,
      {},
      leafOf(bench, { ...valid, extensions: [forge.usages('1.3.6.1.5.5.7.3.2'), names] }),
    ),
    made(
      'of another key',
      'signature.invalid',
      {},
      leafOf(bench, { ...valid, key: bench.other, extensions: [forge.codeSigning, names] }),
    ),
    { ...made('no certificate', 'signature.certificate-missing'), attachment: bare },
  ];
}
