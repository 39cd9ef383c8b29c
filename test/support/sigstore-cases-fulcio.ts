/** Fulcio's certificates: whose they are, and how they are written. */
import { utf8 } from '../../src/base/bytes.ts';
import { type Bench, changed, type SigstoreCase } from './sigstore-case.ts';
import * as forge from './sigstore-forge.ts';
import {
  issuer,
  email,
  invalid,
  mail,
  rootOf,
  middleOf,
  leafOf,
  signedText,
  signed,
  fulcio,
  pemBlock,
} from './sigstore-issue.ts';

export function fulcioCases(bench: Bench): readonly SigstoreCase[] {
  return [...subjects(bench), ...texts(bench)];
}

function subjects(bench: Bench): readonly SigstoreCase[] {
  const requirement = fulcio(bench);
  const chain = [middleOf(bench), rootOf(bench)];
  const good = signed(bench, leafOf(bench), chain);
  const named = (
    name: string,
    code: SigstoreCase['code'],
    ...extensions: readonly Uint8Array[]
  ): SigstoreCase => {
    const leaf = leafOf(bench, { extensions: [forge.codeSigning, ...extensions] });
    return { name: `fulcio: ${name}`, requirement, attachment: signed(bench, leaf, chain), code };
  };
  const [text, typed] = [forge.issuerText(issuer), forge.issuerUtf8(issuer)];
  const other = 'signature.wrong-signer';
  return [
    { name: 'fulcio', requirement, attachment: good, code: 'accepted' },
    {
      name: 'fulcio: no log entry',
      requirement,
      attachment: changed(good, { bundle: undefined }),
      code: 'signature.log-entry-missing',
    },
    {
      name: 'fulcio: no certificate',
      requirement,
      attachment: changed(good, { certificate: undefined }),
      code: 'signature.certificate-missing',
    },
    {
      name: 'fulcio: another mail address wanted',
      requirement: fulcio(bench, { subjectEmail: 'eve@example.com' }),
      attachment: good,
      code: other,
    },
    {
      name: 'fulcio: capitals in the mail address',
      requirement: fulcio(bench, { subjectEmail: 'Alice@example.com' }),
      attachment: good,
      code: other,
    },
    {
      name: 'fulcio: another issuer wanted',
      requirement: fulcio(bench, { oidcIssuer: `${issuer}/` }),
      attachment: good,
      code: other,
    },
    named('the first issuer extension alone', 'accepted', mail, text),
    named('the second issuer extension alone', 'accepted', mail, typed),
    named('two different issuers', invalid, mail, text, forge.issuerUtf8('https://other.example.com')),
    named('no issuer', invalid, mail),
    named('another issuer', other, mail, forge.issuerText('https://other.example.com')),
    named(
      'bytes behind the issuer',
      invalid,
      mail,
      forge.extension('1.3.6.1.4.1.57264.1.8', Buffer.concat([forge.der(0x0c, utf8(issuer)), Buffer.of(0)])),
    ),
    named(
      'the issuer as an IA5String',
      'accepted',
      mail,
      forge.extension('1.3.6.1.4.1.57264.1.8', forge.der(0x16, utf8(issuer))),
    ),
    named(
      'the issuer as an octet string',
      invalid,
      mail,
      forge.extension('1.3.6.1.4.1.57264.1.8', forge.der(0x04, utf8(issuer))),
    ),
    named('two mail addresses', 'accepted', altNames([1, 'bob@example.com'], [1, email]), typed),
    named('a URI alone', other, altNames([6, 'https://example.com/alice']), typed),
    named('the address as a URI', other, altNames([6, `mailto:${email}`]), typed),
    named('the address as a host', other, altNames([2, email]), typed),
    named(
      'a critical name of another kind',
      other,
      altNames([
        0,
        Buffer.concat([forge.oid('1.3.6.1.4.1.57264.1.7'), forge.der(0xa0, forge.der(0x0c, utf8(email)))]),
      ]),
      typed,
    ),
    named('no name', other, typed),
    named('a mail address that is not ASCII', invalid, altNames([1, `${email}é`], [1, email]), typed),
    named('an IP address of three bytes', invalid, altNames([1, email], [7, Uint8Array.of(1, 2, 3)]), typed),
    named('an extension twice', invalid, mail, typed, typed),
    named(
      'a critical extension that nobody knows',
      invalid,
      mail,
      typed,
      forge.extension('1.2.3.4', Uint8Array.of(5, 0), true),
    ),
    named(
      'an extension that nobody knows',
      'accepted',
      mail,
      typed,
      forge.extension('1.2.3.4', Uint8Array.of(5, 0)),
    ),
  ];
}

function altNames(...names: readonly (readonly [number, string | Uint8Array])[]): Uint8Array {
  return forge.altNames(names, true);
}

function texts(bench: Bench): readonly SigstoreCase[] {
  const requirement = fulcio(bench);
  const [root, middle, leaf] = [rootOf(bench), middleOf(bench), leafOf(bench)];
  const [pem, chain] = [forge.certificatePem(leaf), forge.certificatePem(middle, root)];
  const made = (
    name: string,
    code: SigstoreCase['code'],
    certificate: string,
    given = chain,
  ): SigstoreCase => {
    return { name: `text: ${name}`, requirement, attachment: signedText(bench, certificate, given), code };
  };
  return [
    made('no certificate', invalid, ''),
    made('no PEM', invalid, 'certificate'),
    made('two certificates', invalid, pem + pem),
    made('a line behind', invalid, `${pem}\n`),
    made('text before', 'accepted', `leaf\n${pem}`),
    made('no line end', 'accepted', pem.trimEnd()),
    made('another PEM type', 'accepted', pem.replaceAll('CERTIFICATE', 'WHATEVER')),
    made('a byte less', invalid, pemBlock(leaf.subarray(0, -1))),
    made('a byte more', invalid, pemBlock(Buffer.concat([leaf, Buffer.of(0)]))),
    made('blanks around the chain', 'accepted', pem, `\n ${chain} \n`),
    made('text behind the chain', invalid, pem, `${chain}x`),
    // the first block is none then, and what is left of the chain is its root
    made('a byte order mark before the chain', invalid, pem, `\ufeff${chain}`),
    made(
      'text in the chain',
      'accepted',
      pem,
      chain.replace('-----END CERTIFICATE-----\n', '-----END CERTIFICATE-----\nx\n'),
    ),
    made('a chain that is no PEM', invalid, pem, 'chain'),
    made(
      'a chain whose root cannot be read',
      invalid,
      pem,
      forge.certificatePem(middle) + pemBlock(Uint8Array.of(0x30, 0)),
    ),
  ];
}
