import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../source-tree/index.ts';
import { referencePages } from './index.ts';

for (const [file, content] of await referencePages()) writeFileSync(path.join(ROOT, file), content);
