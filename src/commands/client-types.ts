/** What CLIENT LIST and KILL call kinds of clients. Here all are normal ones. */
const clientTypes = ['normal', 'master', 'replica', 'slave', 'pubsub'];

/** name: lower case. */
export function isClientType(name: string): boolean {
  return clientTypes.includes(name);
}
