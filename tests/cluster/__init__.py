"""Several machines, shown on one: `make cluster`.

Each machine is a network namespace with an address of its own, and they run what several machines
would: etcd and PostgreSQL under Patroni, HAProxy, PgBouncer, web processes and workers, with the
files of `deploy/`. Buyers buy, one part after the other is killed, frozen or cut off, and then all
books are compared as `tests/torture` compares them.

- `machines`: namespaces, the processes in them, and what can befall them.
- `estate`: which machine runs what.
- `trials`: what is done to whom.
- `pens`: writes to a primary that has been replaced.
- `purchases`: who buys meanwhile, and whether all books agree.
- `report`: how long nobody could pay, and what else clients saw.

Nothing of it leaves the namespaces, and all of it ends with the command.
"""
