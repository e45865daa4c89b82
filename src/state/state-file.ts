import type { Height } from '../model/index.ts';
import type { Disk, DiskFile } from '../platform/index.ts';

/** Version of all layouts in a state directory (docs/internals/data-layout.md). */
export const LAYOUT_VERSION = 1;

const TEMPORARY = '.temporary';

/** The name of a file of a height: 12 digits, so that names sort as heights do. */
export function fileName(height: Height, kind: 'log' | 'checkpoint' | 'pages'): string {
  return `${String(height).padStart(12, '0')}.${kind}`;
}

/** The height in a file's name; undefined for other names. */
export function heightOf(name: string): Height | undefined {
  const digits = /^(\d{12,16})\.[a-z]+$/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Writes a file that is there entirely and durably, or not at all. */
export async function writeWhole(
  disk: Disk,
  folder: string,
  name: string,
  write: (file: DiskFile) => void | Promise<void>,
  options?: { readonly secret?: boolean },
): Promise<void> {
  const path = `${folder}/${name}`;
  const temporary = path + TEMPORARY;
  disk.remove(temporary);
  const file = disk.create(temporary, options);
  try {
    await write(file);
    await file.sync();
  } finally {
    file.close();
  }
  disk.rename(temporary, path);
  await disk.syncFolder(folder);
}

/** Removes what was begun and never finished. */
export function removeTemporaries(disk: Disk, folder: string): void {
  for (const name of disk.list(folder) ?? []) if (name.endsWith(TEMPORARY)) disk.remove(`${folder}/${name}`);
}
