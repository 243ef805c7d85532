/** ADMIN.BACKUP CREATE, and Redis's own words for it: SAVE, BGSAVE, LASTSAVE. */
import type { CreateRecord } from '../backup/records.js';
import type { CreateType } from '../backup/service.js';
import { CairnError } from '../base/errors.js';
import { isLabel, MAX_LABEL_BYTES } from '../format/index.js';
import { OK, type Reply, Simple } from '../resp/reply.js';
import { adminCommand, commandLine, replyOf, type Values } from './admin-call.js';
import type { Call, ServerCommand } from './command.js';
import { requireRights } from './rights.js';
import { type CommandSpec, find } from './spec.js';

function label(values: Values): string | null {
  const text = values.word('label');
  if (text !== null && !isLabel(text)) {
    throw new CairnError(
      'ERR',
      `a label may have ${MAX_LABEL_BYTES} bytes and no control characters, this one has ${Buffer.byteLength(text)} bytes`,
      {
        hint: 'Choose a shorter, printable label.',
      },
    );
  }
  return text;
}

function trigger(call: Call, name: string): { command: string; user: string; address: string } {
  return {
    command: commandLine(name, call.args),
    user: call.session.user,
    address: call.session.address,
  };
}

/** PARENT alone asks for an increment: a full rests on nothing. */
function createType(word: string | null, parent: number | null): CreateType {
  if (word !== null) return word.toLowerCase() as CreateType;
  return parent === null ? 'full' : 'incremental';
}

/** A pinned backup is out of retention's reach, so who may not pin cannot fill the disk for good. */
function mayPin({ session, services }: Call): void {
  if (session.account.unrestricted) return;
  const argv = ['ADMIN.BACKUP', 'PIN', '1'].map((word) => Buffer.from(word));
  requireRights(services, session, { spec: find(argv) as CommandSpec, argv });
}

const create = adminCommand('admin.backup|create', async (values, call) => {
  if (values.flag('pin')) mayPin(call);
  const parent = values.number('parent');
  const started = call.services.backup.create({
    type: createType(values.word('type'), parent),
    parent,
    strict: values.flag('strict'),
    label: label(values),
    verify: values.flag('verify'),
    pin: values.flag('pin'),
    trigger: trigger(call, 'admin.backup|create'),
  });
  if (values.flag('async')) return replyOf(await started.begun);
  return replyOf(await started.done);
});

/** CREATE AUTO as SAVE and BGSAVE ask for it. */
function start(call: Call, name: string): { begun: Promise<CreateRecord>; done: Promise<CreateRecord> } {
  const { backup } = call.services;
  if (backup.saving) throw new CairnError('ERR', 'Background save already in progress');
  return backup.create({
    type: 'auto',
    parent: null,
    strict: false,
    label: null,
    verify: false,
    pin: false,
    trigger: trigger(call, name),
  });
}

const save: ServerCommand = {
  name: 'save',
  kind: 'server',
  async run(call): Promise<Reply> {
    await start(call, 'save').done;
    return OK;
  },
};

const bgsave: ServerCommand = {
  name: 'bgsave',
  kind: 'server',
  async run(call): Promise<Reply> {
    const option = call.args[0]?.toString('latin1').toUpperCase();
    if (call.args.length > 1 || (option !== undefined && option !== 'SCHEDULE'))
      throw new CairnError('ERR', 'syntax error');
    await start(call, 'bgsave').begun;
    return new Simple('Background saving started');
  },
};

const lastsave: ServerCommand = {
  name: 'lastsave',
  kind: 'server',
  run: ({ services }) => services.backup.lastSaveSeconds(),
};

export const backupCreateCommands: readonly ServerCommand[] = [create, save, bgsave, lastsave];
