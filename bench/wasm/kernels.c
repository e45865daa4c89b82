// Eleven kernels for measuring what rewriting costs: five on dense arrays, six on integers and pointers.
// Each `run_*` does a few milliseconds of work from a fixed start and returns a checksum.
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef __SIZE_TYPE__ size;
#define EXPORT(name) __attribute__((export_name(#name), noinline))

static u32 seed;
static u32 next(void) {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return seed;
}

void *memset(void *to, int value, size n) {
  u8 *p = to;
  for (size i = 0; i < n; i++) p[i] = (u8)value;
  return to;
}
void *memcpy(void *to, const void *from, size n) {
  u8 *p = to;
  const u8 *q = from;
  for (size i = 0; i < n; i++) p[i] = q[i];
  return to;
}

static u32 bits(double x) {
  union { double d; u64 u; } v = {x};
  return (u32)(v.u ^ (v.u >> 32));
}

// ---- dense arrays ----
#define N 128
static double A[N][N], B[N][N], C[N][N], D[N][N];
static int W[N][N];

static void fill(void) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      A[i][j] = (double)((i * j + 1) % N) / N;
      B[i][j] = (double)((i * (j + 1)) % N) / N;
      C[i][j] = (double)((i * (j + 2)) % N) / N;
      D[i][j] = (double)((i * (j + 3)) % N) / N;
    }
}

static double sum(double (*m)[N]) {
  double s = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) s += m[i][j];
  return s;
}

EXPORT(gemm) u32 gemm(void) {
  fill();
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) C[i][j] *= 1.2;
    for (int k = 0; k < N; k++)
      for (int j = 0; j < N; j++) C[i][j] += 1.5 * A[i][k] * B[k][j];
  }
  return bits(sum(C));
}

EXPORT(mm2) u32 mm2(void) {
  fill();
  for (int i = 0; i < N / 4; i++)
    for (int j = 0; j < N; j++) {
      double s = 0;
      for (int k = 0; k < N; k++) s += 1.5 * A[i][k] * B[k][j];
      D[i][j] = s;
    }
  for (int i = 0; i < N / 4; i++)
    for (int j = 0; j < N; j++) {
      double s = C[i][j] * 1.2;
      for (int k = 0; k < N; k++) s += D[i][k] * B[k][j];
      C[i][j] = s;
    }
  return bits(sum(C));
}

EXPORT(jacobi) u32 jacobi(void) {
  fill();
  for (int t = 0; t < 60; t++) {
    for (int i = 1; i < N - 1; i++)
      for (int j = 1; j < N - 1; j++)
        B[i][j] = 0.2 * (A[i][j] + A[i][j - 1] + A[i][j + 1] + A[i + 1][j] + A[i - 1][j]);
    for (int i = 1; i < N - 1; i++)
      for (int j = 1; j < N - 1; j++)
        A[i][j] = 0.2 * (B[i][j] + B[i][j - 1] + B[i][j + 1] + B[i + 1][j] + B[i - 1][j]);
  }
  return bits(sum(A));
}

EXPORT(floyd) u32 floyd(void) {
  seed = 7;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) W[i][j] = (int)(next() % 999) + 1;
  for (int k = 0; k < N; k++)
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) W[i][j] = W[i][j] < W[i][k] + W[k][j] ? W[i][j] : W[i][k] + W[k][j];
  u32 s = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) s = s * 31 + (u32)W[i][j];
  return s;
}

EXPORT(cholesky) u32 cholesky(void) {
  for (int r = 0; r < 4; r++) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) A[i][j] = i == j ? N + 1.0 : 1.0 / (1 + (i > j ? i - j : j - i));
    for (int i = 0; i < N; i++) {
      for (int j = 0; j < i; j++) {
        for (int k = 0; k < j; k++) A[i][j] -= A[i][k] * A[j][k];
        A[i][j] /= A[j][j];
      }
      for (int k = 0; k < i; k++) A[i][i] -= A[i][k] * A[i][k];
      A[i][i] = __builtin_sqrt(A[i][i]);
    }
  }
  return bits(sum(A));
}

// ---- integers ----
#define SLOTS (1 << 15)
static u32 keys[SLOTS], values[SLOTS];

EXPORT(hashmap) u32 hashmap(void) {
  memset(keys, 0, sizeof keys);
  seed = 1;
  u32 found = 0;
  for (int i = 0; i < 20000; i++) {
    u32 key = next() | 1, h = key * 2654435761u >> 17;
    while (keys[h] && keys[h] != key) h = (h + 1) & (SLOTS - 1);
    keys[h] = key;
    values[h] += (u32)i;
  }
  seed = 1;
  for (int i = 0; i < 60000; i++) {
    u32 key = next() | 1, h = key * 2654435761u >> 17;
    while (keys[h] && keys[h] != key) h = (h + 1) & (SLOTS - 1);
    if (keys[h] == key) found += values[h];
  }
  memset(values, 0, sizeof values);
  return found;
}

#define M 40000
static u32 list[M];
static void sort(u32 *a, int lo, int hi) {
  while (lo < hi) {
    u32 pivot = a[(lo + hi) >> 1];
    int i = lo, j = hi;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        u32 t = a[i];
        a[i] = a[j];
        a[j] = t;
        i++;
        j--;
      }
    }
    sort(a, lo, j);
    lo = i;
  }
}
EXPORT(qsort) u32 qsort_(void) {
  seed = 3;
  for (int i = 0; i < M; i++) list[i] = next();
  sort(list, 0, M - 1);
  u32 s = 0;
  for (int i = 0; i < M; i++) s = s * 33 + list[i];
  return s;
}

static char text[1 << 16];
static struct { u32 kind, value, depth; } tokens[1 << 14];
static int write_json(char *p, int depth) {
  int n = 0;
  p[n++] = '{';
  for (int i = 0; i < 4; i++) {
    if (i) p[n++] = ',';
    p[n++] = '"';
    for (int k = 0; k < 5; k++) p[n++] = (char)('a' + next() % 26);
    p[n++] = '"';
    p[n++] = ':';
    if (depth > 0 && i < 3) n += write_json(p + n, depth - 1);
    else
      for (int k = 0; k < 6; k++) p[n++] = (char)('0' + next() % 10);
  }
  p[n++] = '}';
  return n;
}
static int tokenize(const char *p, int n) {
  int count = 0;
  u32 depth = 0;
  for (int i = 0; i < n;) {
    char c = p[i];
    u32 kind = 0, value = 0;
    switch (c) {
      case '{': depth++; kind = 1; i++; break;
      case '}': depth--; kind = 2; i++; break;
      case ':': kind = 3; i++; break;
      case ',': kind = 4; i++; break;
      case '"':
        kind = 5;
        for (i++; p[i] != '"'; i++) value = value * 31 + (u8)p[i];
        i++;
        break;
      default:
        kind = 6;
        while (p[i] >= '0' && p[i] <= '9') value = value * 10 + (u32)(p[i++] - '0');
    }
    tokens[count].kind = kind;
    tokens[count].value = value;
    tokens[count].depth = depth;
    count++;
  }
  return count;
}
EXPORT(parser) u32 parser(void) {
  seed = 5;
  int n = write_json(text, 6);
  u32 s = 0;
  for (int r = 0; r < 6; r++) {
    int count = tokenize(text, n);
    for (int i = 0; i < count; i++) s = s * 17 + tokens[i].kind + tokens[i].value * 3 + tokens[i].depth;
    text[3] ^= 1;
  }
  return s;
}

static const u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
#define ROTR(x, n) ((x) >> (n) | (x) << (32 - (n)))
static u32 H[8];
static void block(const u8 *p) {
  u32 w[64], a[8];
  for (int i = 0; i < 16; i++)
    w[i] = (u32)p[4 * i] << 24 | (u32)p[4 * i + 1] << 16 | (u32)p[4 * i + 2] << 8 | p[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    u32 s0 = ROTR(w[i - 15], 7) ^ ROTR(w[i - 15], 18) ^ w[i - 15] >> 3;
    u32 s1 = ROTR(w[i - 2], 17) ^ ROTR(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  for (int i = 0; i < 8; i++) a[i] = H[i];
  for (int i = 0; i < 64; i++) {
    u32 s1 = ROTR(a[4], 6) ^ ROTR(a[4], 11) ^ ROTR(a[4], 25);
    u32 t1 = a[7] + s1 + ((a[4] & a[5]) ^ (~a[4] & a[6])) + K[i] + w[i];
    u32 s0 = ROTR(a[0], 2) ^ ROTR(a[0], 13) ^ ROTR(a[0], 22);
    u32 t2 = s0 + ((a[0] & a[1]) ^ (a[0] & a[2]) ^ (a[1] & a[2]));
    a[7] = a[6], a[6] = a[5], a[5] = a[4], a[4] = a[3] + t1, a[3] = a[2], a[2] = a[1], a[1] = a[0], a[0] = t1 + t2;
  }
  for (int i = 0; i < 8; i++) H[i] += a[i];
}
EXPORT(sha256) u32 sha256(void) {
  for (int i = 0; i < 8; i++) H[i] = K[i] ^ 0x5a5a5a5a;
  seed = 9;
  for (int i = 0; i < 1 << 16; i++) text[i] = (char)next();
  for (int r = 0; r < 3; r++)
    for (int i = 0; i < 1 << 16; i += 64) block((u8 *)text + i);
  return H[0] ^ H[7];
}

enum { PUSH, ADD, SUB, MUL, DUP, SWAP, OVER, LOAD, STORE, JUMP, BRANCH, LESS, AND, SHIFT, HALT };
static const int program[] = {PUSH, 0,  STORE, 0, PUSH, 0,    STORE, 1,     LOAD,  0, LOAD, 1,   ADD,  DUP,  MUL, PUSH, 0xffff, AND,
                              STORE, 0, LOAD,  1, PUSH, 1,    ADD,   STORE, 1,     LOAD, 1, PUSH, 60000, LESS, BRANCH, 8, HALT};
static int memory[16], stack[64];
EXPORT(vm) u32 vm(void) {
  int sp = 0;
  for (int pc = 0;;) {
    switch (program[pc++]) {
      case PUSH: stack[sp++] = program[pc++]; break;
      case ADD: sp--; stack[sp - 1] += stack[sp]; break;
      case SUB: sp--; stack[sp - 1] -= stack[sp]; break;
      case MUL: sp--; stack[sp - 1] = (int)((u32)stack[sp - 1] * (u32)stack[sp]); break;
      case DUP: stack[sp] = stack[sp - 1]; sp++; break;
      case SWAP: { int t = stack[sp - 1]; stack[sp - 1] = stack[sp - 2]; stack[sp - 2] = t; break; }
      case OVER: stack[sp] = stack[sp - 2]; sp++; break;
      case LOAD: stack[sp++] = memory[program[pc++]]; break;
      case STORE: memory[program[pc++]] = stack[--sp]; break;
      case JUMP: pc = program[pc]; break;
      case BRANCH: pc = stack[--sp] ? program[pc] : pc + 1; break;
      case LESS: sp--; stack[sp - 1] = stack[sp - 1] < stack[sp]; break;
      case AND: sp--; stack[sp - 1] &= stack[sp]; break;
      case SHIFT: sp--; stack[sp - 1] >>= stack[sp]; break;
      case HALT: return (u32)memory[0];
    }
  }
}

typedef struct Node { u32 key, priority; struct Node *left, *right; } Node;
static Node pool[1 << 14];
static Node *freed;
static u32 used;
static Node *take(void) {
  if (freed) {
    Node *n = freed;
    freed = n->left;
    return n;
  }
  return &pool[used++];
}
static void split(Node *t, u32 key, Node **l, Node **r) {
  if (!t) *l = *r = 0;
  else if (t->key < key) split(t->right, key, &t->right, r), *l = t;
  else split(t->left, key, l, &t->left), *r = t;
}
static Node *merge(Node *l, Node *r) {
  if (!l) return r;
  if (!r) return l;
  if (l->priority > r->priority) return l->right = merge(l->right, r), l;
  return r->left = merge(l, r->left), r;
}
static Node *insert(Node *t, Node *n) {
  if (!t) return n;
  if (n->priority > t->priority) return split(t, n->key, &n->left, &n->right), n;
  if (n->key < t->key) t->left = insert(t->left, n);
  else t->right = insert(t->right, n);
  return t;
}
static Node *erase(Node *t, u32 key) {
  if (!t) return 0;
  if (t->key == key) {
    Node *m = merge(t->left, t->right);
    t->left = freed;
    freed = t;
    return m;
  }
  if (key < t->key) t->left = erase(t->left, key);
  else t->right = erase(t->right, key);
  return t;
}
EXPORT(tree) u32 tree(void) {
  Node *root = 0;
  freed = 0;
  used = 0;
  seed = 11;
  u32 s = 0;
  for (int i = 0; i < 12000; i++) {
    if (used > 16000 || next() % 3 == 0) root = erase(root, next() % 8192);
    else {
      Node *n = take();
      n->key = next() % 8192;
      n->priority = next();
      n->left = n->right = 0;
      root = insert(root, n);
    }
    if (root) s = s * 31 + root->key;
  }
  return s;
}
