import assert from 'node:assert/strict';
import test from 'node:test';

import { shopper } from './callers.js';
import {
  ADDRESS, CUSTOMER, MANUAL, buyer, fresh, merchant, orderOf, product,
} from './shop.js';

test('gateways are listed, read, named and switched', async () => {
  const order = await orderOf([await product({ stock: 10 }), 1]);

  const { data: all } = await merchant.gets(200, (sdk) => sdk.Gateways.All());
  const { data: off } = await merchant.gets(200, (sdk) => sdk.Gateways.Enabled('manual', false));
  await merchant.isRefused(422, (sdk) => sdk.Orders.Payment(order.id, MANUAL), {
    code: 'gateway_not_enabled',
  });
  await merchant.gets(200, (sdk) => sdk.Gateways.Update('manual', { enabled: true }));
  const { data: on } = await merchant.gets(200, (sdk) => sdk.Gateways.Get('manual'));

  assert.ok(all.some(({ slug }) => slug === 'manual'));
  assert.deepEqual(on, { ...off, type: 'gateway', slug: 'manual', enabled: true });
  assert.equal(off.enabled, false);
  await merchant.gets(200, (sdk) => sdk.Orders.Payment(order.id, MANUAL));
  await merchant.isRefused(404, (sdk) => sdk.Gateways.Get('nobody'));
});

test('a cart keeps the currency of its first item to the end', async () => {
  const { data: euro } = await merchant.gets(201, (sdk) =>
    sdk.Currencies.Create({
      code: 'EUR',
      exchange_rate: 1,
      format: '€{price}',
      decimal_point: ',',
      thousand_separator: '.',
      decimal_places: 2,
      default: false,
      enabled: true,
    }),
  );
  const mug = await product({ stock: 10 });
  await merchant.sdk.Products.Update(mug.id, {
    price: [
      { amount: 1250, currency: 'USD', includes_tax: true },
      { amount: 1150, currency: 'EUR', includes_tax: true },
    ],
  });
  const bowl = await product({ stock: 10 });
  const european = await shopper({ currency: 'EUR' });
  const cart = fresh('cart');

  const added = await european.gets(201, (sdk) => sdk.Cart(cart).AddProduct(mug.id, 2));
  const again = await buyer.gets(201, (sdk) => sdk.Cart(cart).AddProduct(mug.id, 1));
  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).AddProduct(bowl.id, 1), {
    title: 'Could not add product',
    detail: 'This product does not have a price for EUR',
  });
  const shown = await european.gets(200, (sdk) => sdk.Products.Get(mug.id));
  const { data: order } = await european.gets(201, (sdk) =>
    sdk.Cart(cart).Checkout(CUSTOMER, ADDRESS),
  );

  assert.deepEqual(
    [euro.type, euro.code, euro.default, euro.enabled],
    ['currency', 'EUR', false, true],
  );
  assert.equal(added.meta.display_price.with_tax.formatted, '€23,00');
  assert.deepEqual(again.meta.display_price.with_tax, {
    amount: 3450,
    currency: 'EUR',
    formatted: '€34,50',
  });
  assert.equal(shown.data.meta.display_price.with_tax.amount, 1150);
  assert.equal(order.meta.display_price.with_tax.currency, 'EUR');
  await merchant.isRefused(409, (sdk) => sdk.Currencies.Delete(euro.id));
});

test('currencies are listed, read, changed and, while unused, deleted', async () => {
  const yen = { code: 'JPY', format: '¥{price}', decimal_places: 0, enabled: true };

  const { data: made } = await merchant.gets(201, (sdk) => sdk.Currencies.Create(yen));
  await merchant.isRefused(409, (sdk) => sdk.Currencies.Create(yen), {
    title: 'Currency already exists',
  });
  const { data: read } = await merchant.gets(200, (sdk) => sdk.Currencies.Get(made.id));
  const { data: changed } = await merchant.gets(200, (sdk) =>
    sdk.Currencies.Update(made.id, { format: '{price} JPY' }),
  );
  const { data: all } = await buyer.gets(200, (sdk) => sdk.Currencies.All());
  await merchant.gets(204, (sdk) => sdk.Currencies.Delete(made.id));

  assert.deepEqual(read, made);
  assert.equal(changed.format, '{price} JPY');
  assert.deepEqual(all.find(({ default: isDefault }) => isDefault).code, 'USD');
  assert.ok(all.some(({ code }) => code === 'JPY'));
  await merchant.isRefused(404, (sdk) => sdk.Currencies.Get(made.id));
});

test('the SDK remembers which currency the shopper chose', async () => {
  const caller = await shopper();

  assert.equal(await caller.sdk.Currencies.Set('USD'), 'USD');
  assert.equal(await caller.sdk.Currencies.Active(), 'USD');

  await caller.gets(200, (sdk) => sdk.Products.All());
  assert.equal(caller.exchanges.at(-1).request.headers['X-MOLTIN-CURRENCY'], 'USD');
});

test('the page length is a setting', async () => {
  const { data: before } = await merchant.gets(200, (sdk) => sdk.Settings.All());

  const { data: after } = await merchant.gets(200, (sdk) =>
    sdk.Settings.Update({ page_length: 2 }),
  );
  const { meta } = await merchant.gets(200, (sdk) => sdk.Products.All());
  await merchant.isRefused(422, (sdk) => sdk.Settings.Update({ page_length: 101 }));
  await merchant.gets(204, (sdk) => sdk.Settings.Delete());
  const { data: reset } = await merchant.gets(200, (sdk) => sdk.Settings.All());

  assert.deepEqual([before.type, before.page_length], ['settings', 25]);
  assert.equal(after.page_length, 2);
  assert.deepEqual(reset, before);
  assert.equal(meta.page.limit, 2);
});

test('how long carts live, and when their stock is checked, are settings', async () => {
  const mug = await product({ stock: 1 });
  const cart = fresh('cart');

  const { data: before } = await merchant.gets(200, (sdk) => sdk.Settings.Cart());
  const { data: changed } = await merchant.gets(200, (sdk) =>
    sdk.Settings.UpdateCart({
      cart_expiry_days: 30,
      inventories: { defer_inventory_check: true },
    }),
  );
  await buyer.gets(201, (sdk) => sdk.Cart(cart).AddProduct(mug.id, 5));
  const { data: shown } = await buyer.sdk.Cart(cart).Get();
  await merchant.isRefused(400, (sdk) => sdk.Settings.UpdateCart({ cart_expiry_days: 366 }), {
    title: 'number_lte',
    detail: 'Must be less than or equal to 365',
  });
  await merchant.sdk.Settings.UpdateCart({
    cart_expiry_days: before.cart_expiry_days,
    inventories: before.inventories,
  });

  assert.equal(before.cart_expiry_days, 7);
  assert.equal(changed.cart_expiry_days, 30);
  const days = (Date.parse(shown.meta.timestamps.expires_at) - Date.now()) / 86_400_000;
  assert.ok(days > 29 && days < 31);
  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).Checkout(CUSTOMER, ADDRESS), {
    title: 'Insufficient stock',
  });
});
