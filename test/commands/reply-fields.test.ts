/** The records of the backup layer have the fields that protocol/ promises, in that order. */
import t from 'tap';
import { runningRecord } from '../../src/backup/records.js';
import { lookup } from '../../src/commands/spec.js';

t.test('a backup has the fields of the contract in their order', async (t) => {
  const names = Object.keys(runningRecord(1, 'full', null, 0));
  t.same(names, lookup('admin.backup|list')?.replyFields);
  t.same([...names, 'promoted', 'pruned'], lookup('admin.backup|create')?.replyFields);
  t.same(lookup('admin.backup|info')?.replyFields?.slice(0, names.length), names);
});

t.test('the contract names these fields for the other replies', async (t) => {
  const fields = (word: string) => lookup(`admin.backup|${word}`)?.replyFields?.join(' ');
  t.equal(fields('verify'), 'id mode status files_total files_verified files_failed bytes duration_ms');
  t.equal(
    fields('restore'),
    'id target sequence timestamp timeline commits_replayed bytes duration_ms downtime_ms previous_dir base ' +
      'sequence_from last_commit_at timeline_new commits_left_behind segments',
  );
  t.equal(fields('delete'), 'deleted kept freed_bytes dry_run');
  t.equal(fields('prune'), 'deleted kept freed_bytes dry_run reasons');
  t.equal(fields('tag'), 'name timestamp sequence timeline');
  t.equal(fields('tags'), 'name timestamp sequence timeline reachable');
  t.equal(fields('window'), 'timeline parent current from to sequence_from sequence_to gaps');
  t.equal(fields('cancel'), 'operation id');
  t.equal(
    fields('status'),
    'state operation id phase bytes_done bytes_total percent started_at eta_ms last_operation last_id last_status ' +
      'last_error last_finished_at last_success_id last_success_at last_failure_id last_failure_at ' +
      'last_failure_error archive_lag_ms archive_lag_commits prune_error archive_lag_bytes archive_error',
  );
});
