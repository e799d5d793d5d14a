"""The fake Stripe as a process: prints its address when it can be called."""

import argparse
import sys

from tests.fake_stripe.server import FakeStripe

parser = argparse.ArgumentParser(prog="python -m tests.fake_stripe", description=__doc__)
parser.add_argument("--port", type=int, default=0, help="0 takes one that is free")
stripe = FakeStripe(parser.parse_args().port)
sys.stdout.write(f"{stripe.url}\n")
sys.stdout.flush()
stripe.serve()
