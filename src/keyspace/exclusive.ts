/** One after the other: pauses, exchanges and storage checks exclude each other. */
export class Exclusive {
  private tail: Promise<unknown> = Promise.resolve();

  run<T>(body: () => Promise<T>): Promise<T> {
    const result = this.tail.then(body);
    this.tail = result.catch(() => {});
    return result;
  }
}
