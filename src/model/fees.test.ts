import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  callCost,
  callFee,
  creationFee,
  executionFee,
  freezingThresholdCycles,
  httpRequestFee,
  idleCyclesPerDay,
  ingressFee,
  responsePrepayment,
  storageFee,
} from './fees.ts';
import { DEFAULT_LIMITS } from './limits.ts';

const reference = { subnetSize: 13, costSchedule: 'normal' } as const;
const fiduciary = { subnetSize: 34, costSchedule: 'normal' } as const;
const free = { subnetSize: 13, costSchedule: 'free' } as const;

test('published prices of 13 and 34 nodes', () => {
  assert.equal(creationFee(reference), 500_000_000_000n);
  assert.equal(creationFee(fiduciary), 1_307_692_307_692n);
  assert.equal(executionFee(reference, 1_000_000_000n, false), 1_005_000_000n);
  assert.equal(executionFee(reference, 1_000_000_000n, true), 2_005_000_000n);
  assert.equal(callFee(reference, 10), 270_000n);
  assert.equal(ingressFee(reference, 100), 1_400_000n);
  assert.equal(httpRequestFee(reference, 0n, 0n), 49_140_000n);
  assert.equal(httpRequestFee(fiduciary, 1n, 1n), 171_360_000n + 13_600n + 27_200n);
  assert.equal(storageFee(reference, 1n << 30n, 2_592_000n), 329_184_000_000n);
});

test('a call costs its fee and the response reservation', () => {
  assert.equal(responsePrepayment(reference, DEFAULT_LIMITS, false), 1_000n * 2_097_152n + 40_005_000_000n);
  assert.equal(
    callCost(reference, DEFAULT_LIMITS, 7, false),
    callFee(reference, 7) + responsePrepayment(reference, DEFAULT_LIMITS, false),
  );
});

test('the free schedule charges nothing', () => {
  assert.equal(creationFee(free), 0n);
  assert.equal(callCost(free, DEFAULT_LIMITS, 1000, true), 0n);
  assert.equal(httpRequestFee(free, 1n, 1n), 0n);
  assert.equal(idleCyclesPerDay(free, { memoryBytes: 1n << 40n, memoryAllocation: 0n, computeAllocation: 100n }), 0n);
});

test('idle burn takes the larger of use and allocation; the freezing threshold is reduced by the reserved balance', () => {
  const use = { memoryBytes: 1n << 30n, memoryAllocation: 2n << 30n, computeAllocation: 1n };
  const perDay = 2n * 127_000n * 86_400n + 10_000_000n * 86_400n;
  assert.equal(idleCyclesPerDay(reference, use), perDay);
  const frozen = { ...use, freezingThresholdSeconds: 2_592_000n, reservedBalance: 5n };
  assert.equal(freezingThresholdCycles(reference, frozen), perDay * 30n - 5n);
  assert.equal(freezingThresholdCycles(reference, { ...frozen, reservedBalance: 1n << 90n }), 0n);
});
