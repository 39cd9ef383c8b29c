/** A person logs in on another device (RFC 8628): a code is shown here, the issuer is asked until it was used. */
import { printable } from '../../base/bytes.ts';
import { BullaError } from '../../base/errors.ts';
import { countMember, neededText, textMember } from '../json-members.ts';
import { askJson, errorOf, failed, formRequest } from './ask.ts';
import { type IdentityToken, sigstoreAudience } from './identity-token.ts';
import {
  askForToken,
  discoverIssuer,
  type Issuer,
  type LoginOptions,
  makeCodeProof,
  refused,
  scope,
  tokenOf,
} from './issuer.ts';
import type { TokenSource } from './token-source.ts';

export type DeviceOptions = LoginOptions & {
  /** Waits between questions. Default: a timer. */
  readonly sleep?: (milliseconds: number) => Promise<void>;
};

/** Section 3.5: where the issuer says nothing, and what `slow_down` adds. Seconds. */
const defaultInterval = 5;
const slowerBy = 5;
/** A server may not make this program ask faster, or wait longer, than that. */
const intervals = { least: 1, most: 60 };
const longestLogin = 900;

/** A source whose token is got by a login on another device, each time it is asked. */
export function deviceToken(options: DeviceOptions): TokenSource {
  return { description: `the login at ${options.issuer}`, token: () => logIn(options) };
}

async function logIn(options: DeviceOptions): Promise<IdentityToken> {
  const issuer = await discoverIssuer(options);
  const proof = makeCodeProof();
  const grant = await askForCode(issuer, proof.challenge, options);
  options.note(`Log in at ${grant.url}\nand enter the code ${grant.userCode}`);
  const fields = {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code: grant.deviceCode,
    code_verifier: proof.verifier,
  };
  const sleep = options.sleep ?? wait;
  let { interval } = grant;
  // counted in waits, so that a clock that jumps changes nothing
  for (let waited = 0; waited < grant.expiresIn; waited += interval) {
    await sleep(interval * 1000);
    const answer = await askForToken(issuer, fields, options);
    const { code, said } = errorOf(answer);
    if (answer.status === 200 && code === '') return tokenOf(answer, issuer, options);
    if (code === 'slow_down') interval = Math.min(interval + slowerBy, intervals.most);
    else if (code === 'expired_token') break;
    else if (code !== 'authorization_pending') throw refused(said);
  }
  throw new BullaError('oidc.timeout', 'nobody entered the code in time', {
    hint: 'run it again for a new code',
  });
}

type Grant = {
  readonly deviceCode: string;
  readonly userCode: string;
  readonly url: string;
  /** Seconds. */
  readonly interval: number;
  readonly expiresIn: number;
};

/** Section 3.1 and 3.2. */
async function askForCode(issuer: Issuer, challenge: string, options: DeviceOptions): Promise<Grant> {
  if (issuer.deviceEndpoint === undefined)
    throw failed(`the OpenID issuer ${issuer.name} has no login for devices`);
  const fields = {
    client_id: options.clientId ?? sigstoreAudience,
    scope,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  };
  const answer = await askJson(options.http, 'the OpenID issuer', formRequest(issuer.deviceEndpoint, fields));
  if (answer.status !== 200) throw refused(errorOf(answer).said);
  const { body } = answer;
  const plain = neededText(body, 'verification_uri', failed);
  const url = textMember(body, 'verification_uri_complete', failed) ?? plain;
  if (![plain, url].every((each) => /^https?:$/.test(URL.parse(each)?.protocol ?? ''))) {
    throw failed('the OpenID issuer wants the code entered at something that is no http or https URL');
  }
  const interval = countMember(body, 'interval', failed) ?? defaultInterval;
  return {
    deviceCode: neededText(body, 'device_code', failed),
    userCode: printable(neededText(body, 'user_code', failed), 60),
    url: printable(url, 1000),
    interval: Math.min(Math.max(interval, intervals.least), intervals.most),
    expiresIn: Math.min(countMember(body, 'expires_in', failed) ?? longestLogin, longestLogin),
  };
}

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
