// What is not here yet says so at once, in JSON, instead of doing it half.

import test from 'node:test';

import { UNKNOWN, cartOf, merchant, product } from './shop.js';

const tax = () => ({ name: 'VAT', jurisdiction: 'NY', code: 'VAT', rate: 0.2 });
const discount = () => ({ name: 'Friends', amount: -100, external_id: 'friends' });

const LATER = [
  (sdk) => sdk.Products.Attributes(),
  (sdk) => sdk.Products.CreateRelationships(UNKNOWN, 'category', [UNKNOWN]),
  (sdk) => sdk.Products.UpdateRelationships(UNKNOWN, 'category', [UNKNOWN]),
  (sdk) => sdk.Products.DeleteRelationships(UNKNOWN, 'category', [UNKNOWN]),
  (sdk) => sdk.Products.BuildChildProducts(UNKNOWN),
  (sdk) => sdk.PCM.All(),
  (sdk) => sdk.PCM.Get(UNKNOWN),
  (sdk) => sdk.PCM.Create({ attributes: { name: 'Mug' } }),
  (sdk) => sdk.PCM.Update(UNKNOWN, { attributes: { name: 'Mug' } }),
  (sdk) => sdk.PCM.Delete(UNKNOWN),
  (sdk) => sdk.ShopperCatalog.Get(),
  (sdk) => sdk.ShopperCatalog.Products.All({}),
  (sdk) => sdk.ShopperCatalog.Products.Get({ productId: UNKNOWN }),
  (sdk) => sdk.Orders.anonymize({ order_ids: [UNKNOWN] }),
  (sdk) => sdk.Orders.AllShippingGroups(UNKNOWN),
  (sdk) => sdk.Orders.GetShippingGroup(UNKNOWN, UNKNOWN),
  (sdk) => sdk.Gateways.GetSlugAttributes('manual'),
  (sdk) => sdk.Gateways.OnboardingLinks('manual', 'http://127.0.0.1/'),
  (sdk) => sdk.Gateways.StripeCustomers('manual', 'account'),
  (sdk) => sdk.Gateways.StripeInvoices('manual', 'account', 'customer'),
  (sdk) => sdk.Settings.GetLogsTtl(),
  (sdk) => sdk.Settings.UpdateLogsTtl({ days: 1 }),
  (sdk) => sdk.Settings.Subscriptions(),
  (sdk) => sdk.Settings.UpdateSubscriptions({}),
  (sdk) => sdk.Settings.Promotions(),
  (sdk) => sdk.Customers.All(),
  (sdk) => sdk.Customers.Get(UNKNOWN),
  (sdk) => sdk.Customers.Create({ name: 'Ada', email: 'ada@example.com' }),
  (sdk) => sdk.Customers.Update(UNKNOWN, { name: 'Ada' }),
  (sdk) => sdk.Customers.Delete(UNKNOWN),
  (sdk) => sdk.Customers.Token('ada@example.com', 'secret'),
];

const LATER_IN_A_CART = [
  (cart) => cart.AddCustomerAssociation(UNKNOWN, 'a token'),
  (cart) => cart.AddAccountAssociation(UNKNOWN, 'a token'),
  (cart) => cart.RemoveAccountAssociation(UNKNOWN, 'a token'),
  (cart) => cart.AllShippingGroupsCart(),
  (cart) => cart.GetCartShippingGroup(UNKNOWN),
  (cart) => cart.CreateShippingGroup({}),
  (cart, item) => cart.AddItemTax(item, tax()),
  (cart, item) => cart.UpdateItemTax(item, UNKNOWN, tax()),
  (cart, item) => cart.RemoveItemTax(item, UNKNOWN),
  (cart) => cart.BulkAddItemTax([tax()]),
  (cart) => cart.AddCartCustomDiscount(discount()),
  (cart) => cart.UpdateCartCustomDiscount(UNKNOWN, discount()),
  (cart) => cart.RemoveCartCustomDiscount(UNKNOWN),
  (cart) => cart.BulkAddCartCustomDiscount([discount()]),
  (cart, item) => cart.AddItemCustomDiscount(item, discount()),
  (cart, item) => cart.UpdateItemCustomDiscount(item, UNKNOWN, discount()),
  (cart, item) => cart.RemoveItemCustomDiscount(item, UNKNOWN),
];

test('what comes later is not found', async () => {
  for (const call of LATER) await merchant.isRefused(404, call, { title: 'Not Found' });
});

test('what carts cannot do yet is not found', async () => {
  const cart = await cartOf([await product({ stock: 10 }), 1]);
  const [item] = (await merchant.sdk.Cart(cart).Items()).data;

  for (const call of LATER_IN_A_CART) {
    await merchant.isRefused(404, (sdk) => call(sdk.Cart(cart), item.id), { title: 'Not Found' });
  }
});
