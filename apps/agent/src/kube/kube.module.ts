import {Module} from '@nestjs/common';
import {TargetWatcher} from './target-watcher';

/** What makes this program the agent of a Kubernetes node: imported when NODE_NAME says that it is one. */
@Module({providers: [TargetWatcher]})
export class KubeModule {}
