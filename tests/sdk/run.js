// Every scenario, with one of the SDKs. tests/test_sdk.py starts the server and this.

import { writeFile } from 'node:fs/promises';
import { after } from 'node:test';

import { report } from './methods.js';
import { merchant } from './shop.js';

import './access.js';
import './products.js';
import './files.js';
import './inventories.js';
import './carts.js';
import './checkout.js';
import './payments.js';
import './orders.js';
import './lists.js';
import './settings.js';
import './integrations.js';
import './later.js';

after(() => writeFile(process.env.HOLDFAST_METHODS, JSON.stringify(report(merchant.unwatched))));
