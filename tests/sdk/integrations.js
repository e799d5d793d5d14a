// Who is told of events by webhook. tests/test_sdk.py has made one that was told once.

import assert from 'node:assert/strict';
import test from 'node:test';

import { UNKNOWN, buyer, merchant } from './shop.js';

const ERP = {
  name: 'ERP',
  description: 'Books what was paid',
  enabled: true,
  integration_type: 'webhook',
  observes: ['order.paid', 'stock-transaction.created'],
  configuration: { url: 'https://erp.example.com/holdfast', secret_key: 's3cret' },
};

test('an integration is made, read, changed and deleted', async () => {
  const { data: made } = await merchant.gets(200, (sdk) => sdk.Integrations.Create(ERP));
  const { data: read } = await merchant.gets(200, (sdk) => sdk.Integrations.Get(made.id));
  const { data: changed } = await merchant.gets(200, (sdk) =>
    sdk.Integrations.Update(made.id, { enabled: false, observes: ['order.refunded'] }),
  );
  const { data: all } = await merchant.gets(200, (sdk) => sdk.Integrations.All());
  await merchant.gets(204, (sdk) => sdk.Integrations.Delete(made.id));

  const { signing_secret: secret, ...meta } = made.meta;
  assert.match(secret, /^whsec_/);
  assert.deepEqual(read, { ...made, meta });
  const { id, links, meta: _, ...fields } = read;
  assert.deepEqual(fields, { type: 'integration', ...ERP });
  assert.ok(links.self.endsWith(`/v2/integrations/${id}`));
  assert.deepEqual([changed.enabled, changed.observes], [false, ['order.refunded']]);
  assert.equal(changed.configuration.url, ERP.configuration.url);
  assert.ok(all.some((each) => each.id === id));
  await merchant.isRefused(404, (sdk) => sdk.Integrations.Get(id), {
    title: 'Integration not found',
  });
  await merchant.isRefused(404, (sdk) => sdk.Integrations.GetLogs(UNKNOWN));
});

test('what became of deliveries is told', async () => {
  const { data: all } = await merchant.gets(200, (sdk) => sdk.Integrations.All());
  const { id } = all.find(({ name }) => name === 'Told once');

  const { data: jobs } = await merchant.gets(200, (sdk) => sdk.Integrations.GetJobs(id));
  const { data: logs } = await merchant.gets(200, (sdk) => sdk.Integrations.GetLogs(id));
  const { data: every } = await merchant.gets(200, (sdk) => sdk.Integrations.GetAllLogs());
  const { data: ofJob } = await merchant.gets(200, (sdk) =>
    sdk.Integrations.GetAllLogsForJob(id, jobs[0].id),
  );

  assert.deepEqual(jobs.map(({ type }) => type), ['integration-job']);
  assert.deepEqual([logs.length, logs[0].succeeded, logs[0].status_code], [1, true, 200]);
  assert.deepEqual(logs[0].relationships, {
    integration: { data: { type: 'integration', id } },
    job: { data: { type: 'integration-job', id: jobs[0].id } },
  });
  assert.deepEqual(ofJob, logs);
  assert.ok(every.some((each) => each.id === logs[0].id));
});

test('what cannot be told of, or to, is refused by its name', async () => {
  const made = (fields) => (sdk) => sdk.Integrations.Create({ ...ERP, ...fields });

  for (const [fields, source, code] of [
    [{ observes: ['customer.created'] }, 'data.observes.0', 'not_supported'],
    [{ observes: ['order.payed'] }, 'data.observes.0', 'field_invalid_choice'],
    [{ integration_type: 'stomp' }, 'data.integration_type', 'not_supported'],
    [{ configuration: { url: 'https://10.1.2.3/' } }, 'data.configuration.url', 'field_url'],
  ]) {
    await merchant.isRefused(422, made(fields), { source, code });
  }
  await buyer.isRefused(403, (sdk) => sdk.Integrations.All());
});
