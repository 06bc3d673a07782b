/* Generated from charts/scope/files/crds/scopetarget.yaml by `npm run generate`. Not for editing. */

import type {ObjectMeta} from '../object-meta';

/**
 * One pod that a ScopeAttach or ClusterScopeAttach matched. Made by the controller; not for people to write.
 */
export interface ScopeTarget {
  apiVersion: 'scopeattach.dev/v1alpha1';
  kind: 'ScopeTarget';
  metadata: ObjectMeta;
  spec: ScopeTargetSpec;
  status?: ScopeTargetStatus;
}
/**
 * What the agent of one node is to do about one pod. Written by the controller.
 */
export interface ScopeTargetSpec {
  /**
   * The node whose agent acts.
   */
  nodeName: string;
  /**
   * The pod, in this object's namespace.
   */
  podName: string;
  /**
   * The pod's uid, so that a pod made anew under the same name is another one.
   */
  podUID: string;
  /**
   * The running containers to scope.
   *
   * @maxItems 64
   */
  containers: {
    /**
     * The container's name.
     */
    name: string;
    /**
     * The runtime's id, as the pod's status has it: runtime://id.
     */
    id: string;
    /**
     * The image's name.
     */
    image?: string;
    /**
     * How often it has been restarted.
     */
    restartCount?: number;
  }[];
  /**
   * The workload that the pod belongs to.
   */
  workload?: {
    /**
     * Its kind.
     */
    kind: string;
    /**
     * Its name.
     */
    name: string;
  };
  /**
   * Which processes of a container to scope, now and later. Absent means every one. A process must pass every filter that is set.
   */
  processes?: {
    /**
     * Names of the executable, without its folder. `*` stands for any characters, `?` for one.
     *
     * @minItems 1
     * @maxItems 32
     */
    names?: string[];
    /**
     * RE2 expression that must match somewhere in the command line, its arguments joined by spaces.
     */
    commandLine?: string;
    /**
     * Process ids as seen inside the container.
     *
     * @minItems 1
     * @maxItems 64
     */
    pids?: number[];
    /**
     * Whether processes that a scoped one starts are scoped too, from their first call on, also when they pass no filter. A tracer stays with the process for that.
     */
    children?: boolean;
  };
  /**
   * What to capture. A part that is named is captured, with its options; a part that is not named is not.
   */
  capture: {
    /**
     * Files opened, closed, deleted, renamed.
     */
    fs?: {
      /**
       * Path globs; only files that match one are reported. Absent means all.
       *
       * @minItems 1
       * @maxItems 64
       */
      include?: string[];
      /**
       * Path globs; files that match one are not reported.
       *
       * @maxItems 64
       */
      exclude?: string[];
      /**
       * How long calls took, too; costs a second hook and two records per call.
       */
      timing?: boolean;
    };
    /**
     * Sockets listened on, opened, closed.
     */
    net?: {};
    /**
     * Questions to name servers, and their answers.
     */
    dns?: {};
    /**
     * HTTP exchanges, as client and as server.
     */
    http?: {
      /**
       * Names of headers whose values are reported.
       *
       * @maxItems 64
       */
      headers?: string[];
      /**
       * Names of headers whose values are told as REDACTED.
       *
       * @maxItems 64
       */
      redact?: string[];
    };
    /**
     * What the process writes to its standard output and standard error.
     */
    console?: {
      /**
       * Whether each line becomes an event. Disabled is the same as leaving `console` out.
       */
      mode?: 'Disabled' | 'Lines';
    };
  };
  /**
   * How much one process may send. What is over is counted and reported as lost; how its scope begins and ends is always told.
   */
  rateLimit?: {
    /**
     * Events per second of one process.
     */
    eventsPerSecond?: number;
  };
}
/**
 * What the agent did. Written by the agent, when a fact changes.
 */
export interface ScopeTargetStatus {
  /**
   * Generation of the object that this status is about.
   */
  observedGeneration?: number;
  /**
   * Ready (every chosen process is scoped), Detached (nothing of this target is scoped any more and nothing will be).
   *
   * @maxItems 16
   */
  conditions?: {
    /**
     * What the condition is about.
     */
    type: string;
    /**
     * Whether it holds.
     */
    status: 'True' | 'False' | 'Unknown';
    /**
     * Generation of the object that this was said about.
     */
    observedGeneration?: number;
    /**
     * When `status` last changed.
     */
    lastTransitionTime: string;
    /**
     * Why, as one word of a closed list.
     */
    reason: string;
    /**
     * Why, as a sentence.
     */
    message: string;
  }[];
  /**
   * Processes by state, also those that `processes` has no room for.
   */
  counts?: {
    /**
     * Being attached.
     */
    pending: number;
    /**
     * Scoped.
     */
    scoped: number;
    /**
     * Refused.
     */
    failed: number;
    /**
     * No longer scoped.
     */
    detached: number;
    /**
     * Ended while scoped.
     */
    exited: number;
  };
  /**
   * At most 64 processes; failed ones first, then those most recently changed.
   *
   * @maxItems 64
   */
  processes?: {
    /**
     * The container it runs in.
     */
    container: string;
    /**
     * Its id inside the container.
     */
    pid: number;
    /**
     * Its executable's name.
     */
    name: string;
    /**
     * How far it is.
     */
    state: 'Pending' | 'Scoped' | 'Failed' | 'Detached' | 'Exited';
    /**
     * Why it failed, or is seen in part only, as one word of a closed list.
     */
    reason?: string;
    /**
     * The same and what to do, as a sentence.
     */
    message?: string;
    /**
     * When it came to this state.
     */
    since: string;
    /**
     * Events sent until then.
     */
    events?: number;
    /**
     * Records lost and events over the limit until then.
     */
    lost?: number;
  }[];
}
