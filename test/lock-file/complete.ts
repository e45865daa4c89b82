import { completeLock } from './index.ts';

completeLock();
