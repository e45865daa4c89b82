import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Thread, ThreadOptions, Threads } from '../contract.ts';

/** Worker threads. The module finds its `data` as `workerData` of node:worker_threads. */
export const nodeThreads: Threads = {
  start(module: URL, options: ThreadOptions = {}): Thread {
    const worker = new Worker(module, {
      workerData: options.data,
      env: threadEnvironment(),
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

/** A thread keeps what its code was compiled to where this one does, which by itself it would not. */
function threadEnvironment(): NodeJS.ProcessEnv {
  const folder = getCompileCacheDir();
  // Named after Node's version, below the folder that was asked for.
  return folder === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: dirname(folder) };
}
