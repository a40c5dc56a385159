/**
 * Memory for the frames that a {@link FrameReader} puts together. Output comes in frames of some 100 KiB: with memory of
 * its own for each, collecting the garbage costs as much as all the rest of passing them on.
 */

/** Up to here a frame gets memory of its own size: frames that wait for a slow client must not hold many times theirs. */
const SMALL_BYTES = 32 * 1024;
/** Holds any frame of output that the runner makes; what is longer gets memory of its own size too. */
const SLAB_BYTES = 128 * 1024;
/** Slabs kept for the next frames; what is given back beyond that is garbage. */
const MAX_SPARE = 16;

const spare: Buffer[] = [];

/** Whether a frame of this length is put together in a slab, which can be used again. */
export const fitsSlab = (length: number): boolean => length > SMALL_BYTES && length <= SLAB_BYTES;

/** A slab that nobody else uses until it is given back. */
export function takeSlab(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES);
}

/** Gives a slab back. Nobody may look at it any more. */
export function giveBackSlab(slab: Buffer): void {
  if (spare.length < MAX_SPARE) spare.push(slab);
}
