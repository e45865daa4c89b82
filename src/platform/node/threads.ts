import { Worker } from 'node:worker_threads';
import type { Thread, ThreadOptions, Threads } from '../contract.ts';

/** Worker threads. The module finds its `data` as `workerData` of node:worker_threads. */
export const nodeThreads: Threads = {
  start(module: URL, options: ThreadOptions = {}): Thread {
    const worker = new Worker(module, {
      workerData: options.data,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.stackMiB === undefined ? {} : { resourceLimits: { stackSizeMb: options.stackMiB } }),
    });
    return {
      post: (message, transfer) => worker.postMessage(message, transfer ?? []),
      listen(onMessage, onError) {
        worker.on('message', onMessage);
        worker.on('error', (error) => onError(error instanceof Error ? error : new Error(String(error))));
      },
      hold: (keepAlive) => (keepAlive ? worker.ref() : worker.unref()),
      stop: async () => {
        await worker.terminate();
      },
    };
  },
};
