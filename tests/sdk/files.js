// Pictures, as a back office sends them and a storefront asks for them.

import assert from 'node:assert/strict';
import test from 'node:test';

import { buyer, merchant, product } from './shop.js';

const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);

/** A form with one file, as browsers write it: the SDK takes it with its content type. */
async function form(name, content) {
  const data = new FormData();
  data.append('file', new Blob([content]), name);
  const request = new Request('http://localhost', { method: 'POST', body: data });
  return [Buffer.from(await request.arrayBuffer()), request.headers.get('content-type')];
}

test('a picture is sent, read, listed and deleted', async () => {
  const sent = await form('dot.png', PNG);

  const { data: file } = await merchant.gets(201, (sdk) => sdk.Files.Create(...sent));
  const { data: read } = await merchant.gets(200, (sdk) => sdk.Files.Get(file.id));
  const { data: all } = await merchant.gets(200, (sdk) => sdk.Files.All());

  assert.deepEqual([file.type, file.file_name, file.public], ['file', 'dot.png', true]);
  assert.deepEqual(file.meta.dimensions, { width: 1, height: 1 });
  assert.equal((await fetch(file.link.href)).status, 200);
  assert.deepEqual(read, file);
  assert.ok(all.some((each) => each.id === file.id));
  await merchant.gets(204, (sdk) => sdk.Files.Delete(file.id));
  await merchant.isRefused(404, (sdk) => sdk.Files.Get(file.id));
});

test('a picture from elsewhere is not fetched', async () => {
  await assert.rejects(merchant.sdk.Files.Link('https://example.com/shirt.png'));
});

test('a product without pictures has none to tell of', async () => {
  const { id } = await product();

  const { data, included } = await buyer.gets(200, (sdk) =>
    sdk.Products.With('main_image').Get(id),
  );

  assert.deepEqual([data.relationships, included], [{}, { main_images: [] }]);
});
