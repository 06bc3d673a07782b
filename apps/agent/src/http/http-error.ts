import type {Reason} from '@scope/api';
import {EXIT_CODES, REASON_TABLE} from '@scope/core';

/** Of reasons whose status is not the one of their exit code's class. */
const STATUS: Partial<Record<Reason, number>> = {NotSupported: 501, Timeout: 504, InternalError: 500};

/** By exit code: what the command's user sees as one class is one class of HTTP status. */
const STATUS_BY_EXIT_CODE: Readonly<Record<keyof typeof EXIT_CODES, number>> = {
  2: 400,
  3: 404,
  4: 409,
  5: 409,
  6: 422,
  7: 503,
  8: 507,
  77: 403,
};

/** Status of the answer that tells `reason`. */
export function httpStatusOf(reason: Reason): number {
  return STATUS[reason] ?? STATUS_BY_EXIT_CODE[REASON_TABLE[reason].exitCode] ?? 500;
}
