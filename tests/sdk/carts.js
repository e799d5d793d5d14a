import assert from 'node:assert/strict';
import test from 'node:test';

import { passerBy, shopper } from './callers.js';
import { UNKNOWN, buyer, cartOf, fresh, merchant, product, stockOf } from './shop.js';

const SHORT = {
  title: 'Insufficient stock',
  detail: 'There is not enough stock for the requested quantity',
  code: 'insufficient_stock',
};

// Some methods only the newer SDK has.
const has = (method) => method in passerBy().unwatched.Cart();

const quantities = (items) => Object.fromEntries(items.map((item) => [item.sku, item.quantity]));

test('a cart that nobody has filled yet is empty, whatever it is called', async () => {
  const cart = fresh('unheard-of');

  const { data } = await buyer.gets(200, (sdk) => sdk.Cart(cart).Get());
  const items = await buyer.gets(200, (sdk) => sdk.Cart(cart).Items());

  assert.deepEqual([data.id, data.type], [cart, 'cart']);
  assert.deepEqual(data.meta.display_price.with_tax, { amount: 0, currency: '', formatted: '0' });
  assert.deepEqual(items.data, []);
});

test('a storefront fills the cart that the SDK thought of', async () => {
  const caller = await shopper();
  const mug = await product({ stock: 10, price: 1250 });

  const added = await caller.gets(201, (sdk) => sdk.Cart().AddProduct(mug.id, 2));
  const cart = await caller.gets(200, (sdk) => sdk.Cart().With('items').Get());

  const [item] = added.data;
  assert.equal(added.data.length, 1);
  assert.deepEqual(
    [item.type, item.product_id, item.sku, item.name, item.quantity],
    ['cart_item', mug.id, mug.sku, mug.name, 2],
  );
  assert.deepEqual(item.unit_price, { amount: 1250, currency: 'USD', includes_tax: true });
  assert.deepEqual(item.value, { amount: 2500, currency: 'USD', includes_tax: true });
  assert.equal(item.meta.display_price.with_tax.value.formatted, '$25.00');
  assert.equal(added.meta.display_price.with_tax.formatted, '$25.00');
  assert.deepEqual(cart.data.relationships.items.data, [{ type: 'cart_item', id: item.id }]);
  assert.deepEqual(cart.included.items, added.data);
  assert.ok(Date.parse(cart.data.meta.timestamps.expires_at) > Date.now());
});

test('a product is added by its sku, and again to the same line', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);

  const { data } = await buyer.gets(201, (sdk) => sdk.Cart(cart).AddProduct(mug.sku, 2, {}, true));

  assert.deepEqual(quantities(data), { [mug.sku]: 3 });
});

test('other wishes for the same product make a line of their own', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);
  const custom_inputs = { engraving: 'For Ada' };

  const { data } = await buyer.gets(201, (sdk) =>
    sdk.Cart(cart).AddProduct(mug.id, 1, { custom_inputs }),
  );

  assert.equal(data.length, 2);
  assert.deepEqual(data[1].custom_inputs, custom_inputs);
});

test('more than is available is refused, and says neither what nor how many', async () => {
  const mug = await product({ stock: 100 });
  const cart = fresh('cart');

  const error = await buyer.isRefused(
    400,
    (sdk) => sdk.Cart(cart).AddProduct(mug.id, 101),
    SHORT,
  );

  assert.equal(error.meta, undefined);
  assert.ok(!JSON.stringify(error).includes(mug.id) && !/100/.test(JSON.stringify(error)));
  assert.deepEqual((await buyer.sdk.Cart(cart).Items()).data, []);
});

test('60 and then 50 of 100 are accepted, for only the request is compared', async () => {
  const mug = await product({ stock: 100 });
  const cart = fresh('cart');

  await buyer.gets(201, (sdk) => sdk.Cart(cart).AddProduct(mug.id, 60));
  const { data } = await buyer.gets(201, (sdk) => sdk.Cart(cart).AddProduct(mug.id, 50));

  assert.deepEqual(quantities(data), { [mug.sku]: 110 });
  assert.deepEqual(await stockOf(mug.id), { total: 100, available: 100, allocated: 0 });
});

test('two carts may ask for 80 and 30 of 100', async () => {
  const mug = await product({ stock: 100 });

  await buyer.gets(201, (sdk) => sdk.Cart(fresh('cart')).AddProduct(mug.id, 80));
  await buyer.gets(201, (sdk) => sdk.Cart(fresh('cart')).AddProduct(mug.id, 30));
});

test('what is not managed is never short', async () => {
  const download = await product({ manage_stock: false });

  const { data } = await buyer.gets(201, (sdk) =>
    sdk.Cart(fresh('cart')).AddProduct(download.id, 5000),
  );

  assert.equal(data[0].manage_stock, false);
});

test('drafts and unknown products cannot be added', async () => {
  const draft = await product({ stock: 5, status: 'draft' });

  for (const id of [draft.id, UNKNOWN]) {
    await buyer.isRefused(404, (sdk) => sdk.Cart(fresh('cart')).AddProduct(id, 1));
  }
});

test('a line is set to a quantity, at most to what is available', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 2]);
  const [item] = (await buyer.sdk.Cart(cart).Items()).data;

  const updated = await buyer.gets(200, (sdk) => sdk.Cart(cart).UpdateItemQuantity(item.id, 10));
  const again = await buyer.gets(200, (sdk) => sdk.Cart(cart).UpdateItem(item.id, 7));
  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).UpdateItemQuantity(item.id, 11), SHORT);
  await buyer.isRefused(404, (sdk) => sdk.Cart(cart).UpdateItem(UNKNOWN, 1), {
    title: 'Not Found',
    detail: "The Item doesn't exist in the cart",
  });

  assert.equal(updated.data[0].quantity, 10);
  assert.equal(again.data[0].quantity, 7);
  assert.equal(again.data[0].id, item.id);
});

test('quantity 0 removes a line', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 2]);
  const [item] = (await buyer.sdk.Cart(cart).Items()).data;

  const { data } = await buyer.gets(200, (sdk) => sdk.Cart(cart).UpdateItemQuantity(item.id, 0));

  assert.deepEqual(data, []);
});

test('several lines are updated at once', async () => {
  const [mug, bowl] = [await product({ stock: 10 }), await product({ stock: 10 })];
  const cart = await cartOf([mug, 1], [bowl, 1]);
  const items = (await buyer.sdk.Cart(cart).Items()).data;
  const wanted = items.map(({ id }, position) => ({
    type: 'cart_item',
    id,
    quantity: 3 + position,
  }));

  const { data } = await buyer.gets(200, (sdk) => sdk.Cart(cart).UpdateItems(wanted));

  assert.deepEqual(quantities(data), { [mug.sku]: 3, [bowl.sku]: 4 });
});

test('one line is removed, then all, and the cart stays', async () => {
  const [mug, bowl] = [await product({ stock: 10 }), await product({ stock: 10 })];
  const cart = await cartOf([mug, 1], [bowl, 1]);
  const [first] = (await buyer.sdk.Cart(cart).Items()).data;

  const left = await buyer.gets(200, (sdk) => sdk.Cart(cart).RemoveItem(first.id));
  const emptied = await buyer.gets(204, (sdk) => sdk.Cart(cart).RemoveAllItems());

  assert.deepEqual(quantities(left.data), { [bowl.sku]: 1 });
  assert.equal(emptied, '{}');
  const { data } = await buyer.sdk.Cart(cart).With('items').Get();
  assert.deepEqual(data.relationships.items.data, []);
  assert.ok(data.meta.timestamps.created_at);
});

test('a cart is deleted', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);

  await buyer.gets(204, (sdk) => sdk.Cart(cart).Delete());

  assert.deepEqual((await buyer.sdk.Cart(cart).Items()).data, []);
});

// Without options the SDK wraps the list twice, with them once.
for (const [how, options] of [
  ['without options', undefined],
  ['with options', { add_all_or_nothing: true }],
]) {
  test(`several products are added at once ${how}`, async () => {
    const [mug, bowl] = [await product({ stock: 10 }), await product({ stock: 10 })];
    const list = [
      { type: 'cart_item', id: mug.id, quantity: 2 },
      { type: 'cart_item', sku: bowl.sku, quantity: 3 },
    ];

    const { data } = await buyer.gets(201, (sdk) => sdk.Cart(fresh('cart')).BulkAdd(list, options));

    assert.deepEqual(quantities(data), { [mug.sku]: 2, [bowl.sku]: 3 });
  });
}

test('of several products all are added or none, unless the shop says otherwise', async () => {
  const [mug, bowl] = [await product({ stock: 10 }), await product({ stock: 1 })];
  const cart = fresh('cart');
  const list = [
    { type: 'cart_item', id: mug.id, quantity: 2 },
    { type: 'cart_item', id: bowl.id, quantity: 3 },
  ];

  await buyer.isRefused(400, (sdk) => sdk.Cart(cart).BulkAdd(list), SHORT);
  const { data: nothing } = await buyer.sdk.Cart(cart).Items();
  const some = await buyer.gets(201, (sdk) =>
    sdk.Cart(cart).BulkAdd(list, { add_all_or_nothing: false }),
  );

  assert.deepEqual(nothing, []);
  assert.deepEqual(quantities(some.data), { [mug.sku]: 2 });
  assert.equal(some.errors.length, 1);
  assert.deepEqual([some.errors[0].status, some.errors[0].code], [400, SHORT.code]);
});

if (has('AddProducts')) {
  test('several products are added at once as AddProducts does it', async () => {
    const [mug, bowl] = [await product({ stock: 10 }), await product({ stock: 10 })];
    const list = [{ id: mug.id, quantity: 2 }, { sku: bowl.sku }];

    const { data } = await buyer.gets(201, (sdk) => sdk.Cart(fresh('cart')).AddProducts(list));

    assert.deepEqual(quantities(data), { [mug.sku]: 2, [bowl.sku]: 1 });
  });
}

test('a cart is merged into another, where equal products add up', async () => {
  const [mug, bowl] = [await product({ stock: 10 }), await product({ stock: 10 })];
  const guest = await cartOf([mug, 2], [bowl, 1]);
  const own = await cartOf([mug, 3]);

  const { data } = await buyer.gets(201, (sdk) => sdk.Cart(own).Merge(guest));

  assert.deepEqual(quantities(data), { [mug.sku]: 5, [bowl.sku]: 1 });
});

test('a custom item has its own name and price, and no stock', async () => {
  const mug = await product({ stock: 10, price: 1000 });
  const cart = await cartOf([mug, 1]);
  const wrapping = { name: 'Gift wrapping', quantity: 2, sku: 'WRAP', price: { amount: 300 } };

  const { data, meta } = await buyer.gets(201, (sdk) => sdk.Cart(cart).AddCustomItem(wrapping));

  const item = data.find(({ type }) => type === 'custom_item');
  assert.deepEqual(
    [item.name, item.sku, item.quantity, item.manage_stock, item.product_id],
    ['Gift wrapping', 'WRAP', 2, false, undefined],
  );
  assert.deepEqual(item.value, { amount: 600, currency: 'USD', includes_tax: true });
  assert.equal(meta.display_price.with_tax.amount, 1600);
});

test('a custom item that would lower the total is refused', async () => {
  const rebate = { name: 'Rebate', quantity: 1, price: { amount: -300 } };

  await buyer.isRefused(400, (sdk) => sdk.Cart(fresh('cart')).AddCustomItem(rebate), {
    title: 'number_gte',
    detail: 'Must be greater than or equal to 0',
  });
});

test('no promotion is known here', async () => {
  const mug = await product({ stock: 10 });
  const cart = await cartOf([mug, 1]);

  await buyer.isRefused(404, (sdk) => sdk.Cart(cart).AddPromotion('SPRING'), {
    title: 'Not Found',
    detail: 'No promotion could be found with the given code.',
  });
});

if (has('RemovePromotion')) {
  test('nor can one be removed', async () => {
    const cart = await cartOf([await product({ stock: 10 }), 1]);

    await buyer.isRefused(404, (sdk) => sdk.Cart(cart).RemovePromotion('SPRING'));
  });
}

test('carts are made, named, renamed and listed', async () => {
  const name = fresh('Wish list');

  const { data: made } = await buyer.gets(201, (sdk) =>
    sdk.Cart().CreateCart({ name, description: 'For later' }),
  );
  const { data: renamed } = await buyer.gets(200, (sdk) =>
    sdk.Cart(made.id).UpdateCart({ name: `${name} of Ada` }),
  );
  const { data: all } = await merchant.gets(200, (sdk) => sdk.Cart().GetCartsList());
  const { data: page } = await merchant.gets(200, (sdk) => sdk.Cart().Limit(1).All());

  assert.deepEqual([made.type, made.name, made.description], ['cart', name, 'For later']);
  assert.deepEqual([renamed.name, renamed.description], [`${name} of Ada`, 'For later']);
  assert.equal(all[0].id, made.id);
  assert.deepEqual(page, all.slice(0, 1));
});

test('a cart whose own settings put off the stock check is checked at checkout', async () => {
  const mug = await product({ stock: 1 });
  const { data } = await buyer.sdk.Cart().CreateCart({
    name: 'Patient',
    inventory_settings: { defer_inventory_check: true },
  });

  const added = await buyer.gets(201, (sdk) => sdk.Cart(data.id).AddProduct(mug.id, 5));

  assert.equal(data.inventory_settings.defer_inventory_check, true);
  assert.deepEqual(quantities(added.data), { [mug.sku]: 5 });
});
