import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { callAt } from '../../src/kernel/deadline.js';

const DAY_MS = 86_400_000;

describe('a deadline', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('further away than a timer reaches comes at its time, not before', () => {
    let calls = 0;
    callAt(new Date(Date.now() + 90 * DAY_MS), () => (calls += 1));
    jest.advanceTimersByTime(90 * DAY_MS - 1);
    expect(calls).toBe(0);
    jest.advanceTimersByTime(1);
    expect(calls).toBe(1);
    jest.advanceTimersByTime(90 * DAY_MS);
    expect(calls).toBe(1);
  });

  it('that is past comes at once, but not within the call', () => {
    let calls = 0;
    callAt(new Date(Date.now() - DAY_MS), () => (calls += 1));
    expect(calls).toBe(0);
    jest.advanceTimersByTime(1);
    expect(calls).toBe(1);
  });

  it('can be called off in any part of its wait', () => {
    let calls = 0;
    const cancel = callAt(new Date(Date.now() + 90 * DAY_MS), () => (calls += 1));
    jest.advanceTimersByTime(60 * DAY_MS);
    cancel();
    cancel();
    jest.advanceTimersByTime(60 * DAY_MS);
    expect(calls).toBe(0);
    expect(jest.getTimerCount()).toBe(0);
  });
});
