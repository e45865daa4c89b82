import { CodecError, decodeState, encodeState, fromHex, type StandIn, toHex } from '../codec/index.ts';
import { type Height, PROTOCOL_VERSION } from '../model/index.ts';
import { type Disk, DiskError } from '../platform/index.ts';
import { ByteReader, ByteWriter } from './byte-cursor.ts';
import { type FileSection, PageFile, type SectionContent, writePageFile } from './page-file.ts';
import { PageMap, type PageMapSnapshot } from './page-map.ts';
import { limitLayers, type PageLayer, type PageLayers } from './page-section.ts';
import { corruptFile, StateError } from './state-error.ts';
import { fileName, heightOf, LAYOUT_VERSION, writeWhole } from './state-file.ts';
import type { SubnetState } from './subnet-state.ts';

/** A state found on disk. */
export interface LoadedCheckpoint {
  readonly height: Height;
  readonly state: SubnetState;
}

/** A state frozen as it was, to be written while later rounds go on. */
export interface PendingCheckpoint {
  readonly height: Height;
  /** Writes it durably and removes what is not needed any more. To be called once, and awaited before the next `begin`. */
  write(): Promise<void>;
}

/** Checkpoints, page files and modules of a state directory (docs/internals/data-layout.md, 4 and 5). */
export class CheckpointStore {
  readonly #disk: Disk;
  readonly #root: string;
  readonly #network: Uint8Array;
  readonly #pause: () => Promise<void>;
  /** The checkpoints that count, oldest first. */
  #kept: References[] = [];
  readonly #pageFiles: Map<Height, PageFile> = new Map();
  /** Pages that the last checkpoint needs, by page file. */
  #livePages: Map<Height, number> = new Map();
  #writing = false;

  /** `pause` lets others have their turn between pieces of a long write. */
  constructor(disk: Disk, root: string, network: Uint8Array, pause: () => Promise<void>) {
    this.#disk = disk;
    this.#root = root;
    this.#network = network;
    this.#pause = pause;
  }

  /**
   * Reads the newest checkpoint that is whole; what is wrong with newer ones goes to `notice`. Undefined when there has
   * never been one. @throws StateError when there are some and none is whole, or one is of another version
   */
  load(notice: (text: string) => void): LoadedCheckpoint | undefined {
    const heights: Height[] = [];
    for (const name of this.#disk.list(`${this.#root}/checkpoints`) ?? []) {
      const height = heightOf(name);
      if (height !== undefined && name.endsWith('.checkpoint')) heights.push(height);
    }
    const wrong: string[] = [];
    let loaded: LoadedCheckpoint | undefined;
    for (const height of heights.toReversed()) {
      try {
        if (loaded === undefined) loaded = this.#read(height);
        else this.#kept.unshift(this.#readFile(height).references);
        if (this.#kept.length === CHECKPOINTS_KEPT) break;
      } catch (error) {
        if (!(error instanceof StateError) || error.code !== 'corrupt_file') throw error;
        wrong.push(error.message);
        notice(`The checkpoint of height ${height} is not used. ${error.message}`);
      }
    }
    if (loaded === undefined && wrong.length > 0)
      throw new StateError(
        'corrupt_file',
        `${this.#root}/checkpoints`,
        `No checkpoint in ${this.#root} is whole. Restore the directory from a copy. ${wrong.join(' ')}`,
      );
    return loaded;
  }

  /** The log is needed from the round after this height on. */
  get oldestHeight(): Height | undefined {
    return this.#kept[0]?.height;
  }

  get newestHeight(): Height | undefined {
    return this.#kept.at(-1)?.height;
  }

  /** Freezes the state as it is now. Nothing is written yet. */
  begin(state: SubnetState): PendingCheckpoint {
    if (this.#writing) throw new Error('a checkpoint is under way');
    this.#writing = true;
    const { height } = state;
    const crowded = this.#crowdedFiles();
    const contents: SectionContent[] = [];
    const finishing: (() => void)[] = [];
    const livePages = new Map<Height, number>();
    const standIn: StandIn = {
      write: (value) => {
        if (!(value instanceof PageMap)) return undefined;
        const snapshot = value.beginCheckpoint();
        const count = layersToMerge(snapshot, crowded);
        let kept: PageLayers = snapshot.layers;
        let own: number | undefined;
        if (snapshot.changedPages > 0 || count > 0) {
          own = contents.length;
          contents.push(snapshot.through(count));
          const limit = Math.min(...kept.slice(0, count).map((layer) => layer.limit));
          kept = limitLayers(kept.slice(count), limit);
        }
        for (const { section } of kept) {
          const file = (section as FileSection).height;
          livePages.set(file, (livePages.get(file) ?? 0) + section.pageCount);
        }
        finishing.push(() => {
          const section = own === undefined ? undefined : this.#pageFiles.get(height)?.sections[own];
          const layers: PageLayer[] = section === undefined ? [] : [{ section, limit: Number.POSITIVE_INFINITY }];
          snapshot.complete([...layers, ...kept]);
        });
        return {
          wasmPages: snapshot.wasmPages,
          layers: [
            ...(own === undefined ? [] : [{ file: height, section: own, limit: undefined }]),
            ...kept.map(({ section, limit }) => ({
              file: (section as FileSection).height,
              section: (section as FileSection).number,
              limit: limit === Number.POSITIVE_INFINITY ? undefined : limit,
            })),
          ],
        };
      },
      read: unread,
    };
    const body = encodeState({ ...state, modules: new Map() }, { standIns: [standIn] });
    const modules = new Map(state.modules);
    return {
      height,
      write: async () => {
        const known = new Map(this.#kept.flatMap((references) => [...references.modules]));
        const references: References = { height, pageFiles: [...livePages.keys()], modules: new Map() };
        for (const [hash, bytes] of [...modules].sort(([a], [b]) => (a < b ? -1 : 1))) {
          const crc = known.get(hash)?.crc ?? (await this.#writeModule(hash, bytes));
          references.modules.set(hash, { length: bytes.length, crc });
        }
        if (contents.length > 0) {
          const folder = `${this.#root}/pages`;
          await writePageFile(this.#disk, folder, this.#network, height, contents, this.#pause);
          const file = PageFile.open(this.#disk, folder, this.#network, height);
          this.#pageFiles.set(height, file);
          references.pageFiles.push(height);
          livePages.set(
            height,
            file.sections.reduce((sum, section) => sum + section.pageCount, 0),
          );
        }
        references.pageFiles.sort((a, b) => a - b);
        await this.#writeFile(references, state.protocolVersion, body);
        for (const finish of finishing) finish();
        this.#livePages = livePages;
        this.#kept.push(references);
        this.#removeUnneeded();
        this.#writing = false;
      },
    };
  }

  async #writeModule(hash: string, bytes: Uint8Array): Promise<number> {
    await writeWhole(this.#disk, `${this.#root}/modules`, `${hash}.wasm`, (file) => file.write(0, bytes));
    return this.#disk.crc32(bytes);
  }

  async #writeFile(references: References, protocolVersion: number, body: Uint8Array): Promise<void> {
    const list = new ByteWriter(1024);
    list.u32(references.pageFiles.length);
    for (const height of references.pageFiles) list.u64(height);
    list.u32(references.modules.size);
    for (const [hash, { length, crc }] of references.modules) {
      list.put(fromHex(hash));
      list.u64(length);
      list.u32(crc);
    }
    const header = new ByteWriter(HEADER_BYTES);
    header.put(MAGIC);
    header.u32(LAYOUT_VERSION);
    header.u32(protocolVersion);
    header.put(this.#network);
    header.u64(references.height);
    header.u32(list.length);
    header.u32(this.#disk.crc32(list.bytes()));
    header.u64(body.length);
    header.u32(this.#disk.crc32(body));
    header.zeros(8);
    header.u32(this.#disk.crc32(header.bytes()));
    const name = fileName(references.height, 'checkpoint');
    await writeWhole(this.#disk, `${this.#root}/checkpoints`, name, (file) => {
      file.write(0, header.bytes());
      file.write(HEADER_BYTES, list.bytes());
      file.write(HEADER_BYTES + list.length, body);
    });
  }

  #read(height: Height): LoadedCheckpoint {
    const { path, references, body } = this.#readFile(height);
    for (const file of references.pageFiles) this.#openPageFile(path, file);
    const livePages = new Map<Height, number>();
    const standIn: StandIn = {
      write: () => undefined,
      read: (value) => {
        const { wasmPages, layers } = value as MemoryReference;
        return PageMap.restore(
          wasmPages,
          layers.map(({ file, section: number, limit }) => {
            const section = this.#pageFiles.get(file)?.sections[number];
            if (section === undefined) throw corruptFile(path, `it refers to section ${number} of height ${file}`);
            livePages.set(file, (livePages.get(file) ?? 0) + section.pageCount);
            return { section, limit: limit ?? Number.POSITIVE_INFINITY };
          }),
        );
      },
    };
    let state: SubnetState;
    try {
      state = decodeState(body, { standIns: [standIn] }) as SubnetState;
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      throw corruptFile(path, `its body cannot be read (${error.message})`);
    }
    if (state.height !== height) throw corruptFile(path, `its state is of height ${state.height}`);
    for (const [hash, { length, crc }] of references.modules) {
      const file = `${this.#root}/modules/${hash}.wasm`;
      const bytes = this.#readWhole(file, path);
      if (bytes.length !== length || this.#disk.crc32(bytes) !== crc)
        throw corruptFile(file, `it has ${bytes.length} bytes that are not those of the module (${length} bytes)`);
      state.modules.set(hash, bytes);
    }
    this.#livePages = livePages;
    this.#kept.push(references);
    return { height, state };
  }

  #readFile(height: Height): { path: string; references: References; body: Uint8Array } {
    const path = `${this.#root}/checkpoints/${fileName(height, 'checkpoint')}`;
    const content = this.#disk.read(path);
    if (content.length < HEADER_BYTES) throw corruptFile(path, `it is cut short to ${content.length} bytes`);
    if (!MAGIC.every((byte, at) => content[at] === byte)) throw corruptFile(path, 'it is not a checkpoint');
    const view = new DataView(content.buffer, content.byteOffset, HEADER_BYTES);
    if (this.#disk.crc32(content.subarray(0, 60)) !== view.getUint32(60, true))
      throw corruptFile(path, 'its header is damaged');
    const layout = view.getUint32(8, true);
    const protocol = view.getUint32(12, true);
    if (layout !== LAYOUT_VERSION || protocol !== PROTOCOL_VERSION)
      throw new StateError(
        'wrong_version',
        path,
        `${path} has layout ${layout} and protocol version ${protocol}; this release reads layout ${LAYOUT_VERSION} and protocol version ${PROTOCOL_VERSION}. Start it with the release that wrote it`,
      );
    if (!this.#network.every((byte, at) => content[16 + at] === byte))
      throw new StateError('not_a_state_directory', path, `${path} belongs to another network; remove it`);
    if (Number(view.getBigUint64(24, true)) !== height)
      throw corruptFile(path, `it says that it is of height ${view.getBigUint64(24, true)}`);
    const listBytes = view.getUint32(32, true);
    const bodyBytes = Number(view.getBigUint64(40, true));
    if (content.length !== HEADER_BYTES + listBytes + bodyBytes)
      throw corruptFile(path, `it has ${content.length} bytes instead of ${HEADER_BYTES + listBytes + bodyBytes}`);
    const list = content.subarray(HEADER_BYTES, HEADER_BYTES + listBytes);
    const body = content.subarray(HEADER_BYTES + listBytes);
    if (this.#disk.crc32(list) !== view.getUint32(36, true)) throw corruptFile(path, 'its references are damaged');
    if (this.#disk.crc32(body) !== view.getUint32(48, true)) throw corruptFile(path, 'its body is damaged');
    const from = new ByteReader(list);
    const references: References = { height, pageFiles: [], modules: new Map() };
    for (let count = from.u32(); count > 0; count--) references.pageFiles.push(from.count());
    for (let count = from.u32(); count > 0; count--) {
      const hash = toHex(from.take(32));
      references.modules.set(hash, { length: from.count(), crc: from.u32() });
    }
    return { path, references, body };
  }

  #openPageFile(checkpoint: string, height: Height): void {
    if (this.#pageFiles.has(height)) return;
    try {
      this.#pageFiles.set(height, PageFile.open(this.#disk, `${this.#root}/pages`, this.#network, height));
    } catch (error) {
      throw missing(error, checkpoint);
    }
  }

  #readWhole(path: string, checkpoint: string): Uint8Array {
    try {
      return this.#disk.read(path);
    } catch (error) {
      throw missing(error, checkpoint);
    }
  }

  /** Page files of which so few pages live that the memories that need them had better be written anew. */
  #crowdedFiles(): ReadonlySet<Height> {
    if (this.#livePages.size <= PAGE_FILES_MAX) return new Set();
    const fewest = [...this.#livePages].sort(([, a], [, b]) => a - b);
    return new Set(fewest.slice(0, this.#livePages.size - PAGE_FILES_MAX / 2).map(([height]) => height));
  }

  #removeUnneeded(): void {
    this.#kept = this.#kept.slice(-CHECKPOINTS_KEPT);
    const needed = new Set<string>();
    for (const { height, pageFiles, modules } of this.#kept) {
      needed.add(`checkpoints/${fileName(height, 'checkpoint')}`);
      for (const file of pageFiles) needed.add(`pages/${fileName(file, 'pages')}`);
      for (const hash of modules.keys()) needed.add(`modules/${hash}.wasm`);
    }
    for (const folder of ['checkpoints', 'pages', 'modules'])
      for (const name of this.#disk.list(`${this.#root}/${folder}`) ?? []) {
        if (needed.has(`${folder}/${name}`)) continue;
        this.#disk.remove(`${this.#root}/${folder}/${name}`);
        // Forks may still read from a removed file; it is closed when nobody can any more.
        if (folder === 'pages') this.#pageFiles.delete(heightOf(name) ?? -1);
      }
  }
}

interface References {
  readonly height: Height;
  readonly pageFiles: Height[];
  readonly modules: Map<string, { readonly length: number; readonly crc: number }>;
}

/** How a memory stands in the body. */
interface MemoryReference {
  readonly wasmPages: number;
  readonly layers: readonly { readonly file: Height; readonly section: number; readonly limit?: number }[];
}

const MAGIC = new TextEncoder().encode('PERDCKPT');
const HEADER_BYTES = 64;
const CHECKPOINTS_KEPT = 2;
const PAGE_FILES_MAX = 64;
/** A layer is merged when what lies above has at least this part of its size: sizes of layers grow by this factor. */
const LAYER_GROWTH = 4;

/** How many of the newest layers the next section should replace. */
function layersToMerge(snapshot: PageMapSnapshot, crowded: ReadonlySet<Height>): number {
  let count = 0;
  if (snapshot.changedPages > 0) {
    let pages = snapshot.changedPages;
    for (const { section } of snapshot.layers) {
      if (section.pageCount > pages * LAYER_GROWTH) break;
      pages += section.pageCount;
      count++;
    }
  }
  for (const [index, { section }] of snapshot.layers.entries())
    if (crowded.has((section as FileSection).height)) count = Math.max(count, index + 1);
  return count;
}

function missing(error: unknown, checkpoint: string): unknown {
  if (error instanceof DiskError && error.code === 'not_found')
    return corruptFile(error.path, `it is missing, and ${checkpoint} needs it`);
  return error;
}

function unread(): never {
  throw new Error('only written');
}
