/**
 * Whether another agent comes soon and goes on with the sessions of this one: then an end leaves them in place. Nobody
 * reads meanwhile: rings fill up, each call costs the target some nanoseconds more, and what finds no room is counted.
 * Only who knows the place that this runs in can promise it; nobody does on a host.
 */
export class Succession {
  isPromised = false;
}
