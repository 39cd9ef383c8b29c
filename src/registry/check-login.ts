/** Whether a registry accepts what it is shown. */
import { limits } from '../base/limits.ts';
import { answerError } from './answer.ts';
import type { Client } from './client.ts';

/** Asks for the API's root with the credentials; only 200 means they are good. */
export async function checkLogin(client: Client): Promise<void> {
  const response = await client.session.send({
    method: 'GET',
    target: '/v2/',
    scopes: [],
    maxBytes: limits.errorBodyBytes,
  });
  if (response.status !== 200) throw await answerError(response, 'log in');
  response.discard();
}
