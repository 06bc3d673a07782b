/* Generated from charts/scope/files/crds/clusterscopeattach.yaml by `npm run generate`. Not for editing. */

import type {ObjectMeta} from '../object-meta';

/**
 * Asks that processes of running pods of several namespaces be scoped.
 */
export interface ClusterScopeAttach {
  apiVersion: 'scopeattach.dev/v1alpha1';
  kind: 'ClusterScopeAttach';
  metadata: ObjectMeta;
  spec: ClusterScopeAttachSpec;
  status?: ClusterScopeAttachStatus;
}
/**
 * What is wished for.
 */
export interface ClusterScopeAttachSpec {
  /**
   * Which pods of which namespaces, and what in them.
   */
  target: {
    /**
     * Labels of the namespaces that are meant. An empty one, `{}`, means every namespace.
     */
    namespaceSelector: {
      /**
       * Labels that must be present with exactly these values.
       */
      matchLabels?: {
        [k: string]: string;
      };
      /**
       * Requirements on labels, all of which must hold.
       *
       * @maxItems 32
       */
      matchExpressions?: {
        /**
         * The label's key.
         */
        key: string;
        /**
         * How the label relates to the values.
         */
        operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
        /**
         * Values for In and NotIn; must be empty for Exists and DoesNotExist.
         *
         * @maxItems 64
         */
        values?: string[];
      }[];
    };
    /**
     * Labels of the pods that are meant.
     */
    selector: {
      /**
       * Labels that must be present with exactly these values.
       */
      matchLabels?: {
        [k: string]: string;
      };
      /**
       * Requirements on labels, all of which must hold.
       *
       * @maxItems 32
       */
      matchExpressions?: {
        /**
         * The label's key.
         */
        key: string;
        /**
         * How the label relates to the values.
         */
        operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
        /**
         * Values for In and NotIn; must be empty for Exists and DoesNotExist.
         *
         * @maxItems 64
         */
        values?: string[];
      }[];
    };
    /**
     * Names of the containers to scope. Absent means every container of the pod.
     *
     * @minItems 1
     * @maxItems 64
     */
    containers?: string[];
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
  };
  /**
   * What to capture. A part that is named is captured, with its options; a part that is not named is not. Absent means files, sockets, DNS and HTTP.
   */
  capture?: {
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
  /**
   * Seconds after the start at which everything is detached by itself. Absent means never.
   */
  activeDeadlineSeconds?: number;
  /**
   * Seconds after the deadline at which this object is deleted. Absent means it stays.
   */
  ttlSecondsAfterFinished?: number;
  /**
   * Whether to pause. Everything is detached while this is true, and attached again when it is false.
   */
  suspend?: boolean;
}
/**
 * What is. Written by the controller.
 */
export interface ClusterScopeAttachStatus {
  /**
   * Generation of the object that this status is about.
   */
  observedGeneration?: number;
  /**
   * When the controller first acted on this object.
   */
  startTime?: string;
  /**
   * When the deadline ends it.
   */
  expiresAt?: string;
  /**
   * When the deadline ended it.
   */
  completionTime?: string;
  /**
   * Ready (everything matched is scoped), Reconciling (work is under way), Stalled (only a change of this object or of the cluster helps).
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
   * Pods by how far they are.
   */
  pods?: {
    /**
     * Running pods that match.
     */
    matched: number;
    /**
     * Pods of which every chosen process is scoped.
     */
    scoped: number;
    /**
     * Pods whose agent has not finished.
     */
    pending: number;
    /**
     * Pods of which a process could not be scoped.
     */
    failed: number;
  };
  /**
   * Processes by how far they are.
   */
  processes?: {
    /**
     * Processes that are scoped.
     */
    scoped: number;
    /**
     * Processes that could not be scoped.
     */
    failed: number;
  };
  /**
   * The most frequent reasons of failure, worst first.
   *
   * @maxItems 8
   */
  failures?: {
    /**
     * The reason.
     */
    reason: string;
    /**
     * How many processes.
     */
    count: number;
    /**
     * One of them: pod, container, process and message.
     */
    example: string;
  }[];
}
