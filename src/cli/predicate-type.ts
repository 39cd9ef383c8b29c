/** `--type`: which statements count. */
import { predicateTypeOf } from '../formats/predicate-types.ts';
import { anyPredicateType } from '../trust/bundle-rule.ts';

/** A name of cosign's, a URI, or `any`. @throws BullaError `usage.invalid` */
export function readPredicateType(text: string): string {
  return text === anyPredicateType ? text : predicateTypeOf(text);
}
