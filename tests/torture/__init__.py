"""The fault harness: whatever is killed, and whenever, money and stock end up together.

It runs the real web server and job workers against the stand-in for Stripe, kills them where a test
says so or at random, lets recovery run, and then holds orders, payments, stock, the log, the
gateway's own book and what the clients were told against each other.

- `marks`: the points at which a process can be told to kill itself, by the names of the functions
  there. The production code knows nothing of them.
- `nursery`: the process whose children serve, work and are killed.
- `cluster`: two PostgreSQL servers, to be stopped and replaced by each other.
- `forwarder`: the way to them, to be cut.
- `site`: starts and steers all of it.
- `caller`: calls the API and writes down what came of it, with a `pen`.
- `store`: a site with its first API clients, which is what tests deal with.
- `office`: uses the pages for people.
- `crowd`: buyers, merchants, cancellers, people who count, and whoever reads along.
- `chaos`: what befalls them, at random by a seed.
- `checker`: says what does not agree.
- `history`: keeps what the clients wrote down and what can be read in the end.
- `check_history`: judges by that alone.
- `report`: tells what a long run came to.

`make torture` (`__main__`) runs it for long; the tests here run every mark once, and a short crowd.
"""
