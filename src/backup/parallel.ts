/**
 * Runs `work` over all items, `width` at once, in order of the items. The first failure stops the start of further
 * ones; what already runs is awaited, so that nothing goes on behind the caller's back.
 */
export async function forEachAtOnce<T>(
  width: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failure: { error: unknown } | null = null;
  const lane = async (): Promise<void> => {
    while (failure === null && next < items.length) {
      const item = items[next++] as T;
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failure !== null) throw (failure as { error: unknown }).error;
}

/** In the order in which few lanes are done soonest: the longest first, so that none is left alone with it at the end. */
export function largestFirst<T>(items: readonly T[], sizeOf: (item: T) => number): T[] {
  return [...items].sort((a, b) => sizeOf(b) - sizeOf(a));
}
