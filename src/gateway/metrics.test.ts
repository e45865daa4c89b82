import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { exponentialBounds, MetricsError, MetricsRegistry } from './metrics.ts';
import { NodeMetrics } from './node-metrics.ts';

test('counters, gauges and histograms in the Prometheus text format', () => {
  const registry = new MetricsRegistry();
  const requests = registry.counter('requests_total', 'Requests.', ['endpoint', 'status']);
  requests.labels('call', '200').add();
  requests.labels('call', '200').add(2);
  registry.counter('unfed_total', 'Never counted.');
  requests.labels('a "quoted"\\\n', '400').add();
  registry.gauge('height', 'Height,\nnow.').set(12);
  const seconds = registry.histogram('seconds', 'Duration.', [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
  assert.equal(
    registry.text(),
    [
      '# HELP height Height,\\nnow.',
      '# TYPE height gauge',
      'height 12',
      '# HELP requests_total Requests.',
      '# TYPE requests_total counter',
      'requests_total{endpoint="call",status="200"} 3',
      'requests_total{endpoint="a \\"quoted\\"\\\\\\n",status="400"} 1',
      '# HELP seconds Duration.',
      '# TYPE seconds histogram',
      'seconds_bucket{le="0.1"} 2',
      'seconds_bucket{le="1"} 3',
      'seconds_bucket{le="+Inf"} 4',
      'seconds_sum 7.65',
      'seconds_count 4',
      '',
    ].join('\n'),
  );
});

test('the same declaration gives the same instrument, a different one is an error', () => {
  const registry = new MetricsRegistry();
  assert.equal(registry.counter('a_total', 'A.'), registry.counter('a_total', 'A.'));
  assert.throws(() => registry.gauge('a_total', 'A.'), MetricsError);
  assert.throws(() => registry.counter('a', 'A.'), MetricsError);
  assert.throws(() => registry.gauge('a-b', 'A.'), MetricsError);
  assert.throws(() => registry.gauge('b', 'B.', ['x y']), MetricsError);
  assert.throws(() => registry.histogram('c', 'C.', [2, 1]), MetricsError);
  assert.throws(() => registry.counter('d_total', 'D.', ['x']).labels(), MetricsError);
});

test('hostile label values cannot grow a family without bound', () => {
  const registry = new MetricsRegistry();
  const family = registry.counter('x_total', 'X.', ['path']);
  for (let i = 0; i < 5_000; i++) family.labels(`/${i}`).add();
  const lines = registry.text().split('\n');
  assert.ok(lines.length < 1_100);
  assert.ok(lines.includes('x_total{path="other"} 4000'));
});

test('values are collected when asked for, and distributions are taken anew', () => {
  const registry = new MetricsRegistry();
  const sizes = registry.histogram('sizes', 'Sizes.', exponentialBounds(1, 10, 3));
  let present = [5, 50];
  registry.onCollect(() => {
    sizes.reset();
    for (const size of present) sizes.observe(size);
  });
  assert.match(registry.text(), /sizes_count 2\n/);
  present = [];
  assert.match(registry.text(), /sizes_count 0\n/);
});

test('the metrics of a node', () => {
  const metrics = new NodeMetrics(new MetricsRegistry());
  metrics.stage('verify', 0.0002);
  metrics.round({ height: 3, seconds: 0.004, instructions: 1_000_000n, messages: 2, slices: 3, canisters: 1 });
  const text = metrics.registry.text();
  assert.match(text, /perdure_stage_seconds_count\{stage="verify"\} 1\n/);
  assert.match(text, /perdure_height 3\n/);
  assert.match(text, /perdure_instructions_total 1000000\n/);
  for (const line of text.trimEnd().split('\n'))
    assert.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+=".*"\})? [0-9.e+]+|[a-z_]+_bucket\{.*\} \d+)$/);
});

test('docs/reference/metrics.md lists every metric as it is', () => {
  const rows = new NodeMetrics(new MetricsRegistry()).registry
    .families()
    .map(({ name, kind, labels, help }) => `| \`${name}\` | ${kind} | ${labels.join(', ')} | ${help} |`);
  const path = new URL('../../docs/reference/metrics.md', import.meta.url);
  const documented = readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  assert.deepEqual(documented, rows);
});
