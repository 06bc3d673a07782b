import type {
  ClusterScopeAttach,
  ClusterScopeAttachSpec,
  ClusterScopeAttachStatus,
} from './generated/clusterscopeattach';
import type {ScopeAttach, ScopeAttachSpec, ScopeAttachStatus} from './generated/scopeattach';
import type {ScopeTarget, ScopeTargetSpec, ScopeTargetStatus} from './generated/scopetarget';

export type {
  ClusterScopeAttach,
  ClusterScopeAttachSpec,
  ClusterScopeAttachStatus,
  ScopeAttach,
  ScopeAttachSpec,
  ScopeAttachStatus,
  ScopeTarget,
  ScopeTargetSpec,
  ScopeTargetStatus,
};

export const API_GROUP = 'scopeattach.dev';
export const API_VERSION = 'v1alpha1';

/** Either of the two kinds that people write. */
export type AnyScopeAttach = ScopeAttach | ClusterScopeAttach;
export type LabelSelector = NonNullable<ScopeAttachSpec['target']['selector']>;
export type ProcessFilter = NonNullable<ScopeAttachSpec['target']['processes']>;
export type CaptureSpec = ScopeTargetSpec['capture'];
export type ProcessEntry = NonNullable<ScopeTargetStatus['processes']>[number];
export type ProcessState = ProcessEntry['state'];
export type ProcessCounts = NonNullable<ScopeTargetStatus['counts']>;
export type Condition = NonNullable<ScopeTargetStatus['conditions']>[number];

/** Put on ScopeAttach, ClusterScopeAttach and ScopeTarget by the controller, and taken off by it alone. */
export const DETACH_FINALIZER = 'scopeattach.dev/detach';

/** Labels of a ScopeTarget: which object it was made for. */
export const ATTACH_KIND_LABEL = 'scopeattach.dev/attach-kind';
export const ATTACH_NAME_LABEL = 'scopeattach.dev/attach-name';

/** As many entries as a ScopeTarget's status holds. */
export const MAX_PROCESS_ENTRIES = 64;
