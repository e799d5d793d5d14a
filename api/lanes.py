"""The queues of jobs. Each is a lane of its own, so that none waits behind jobs of another kind."""

TELLING = "telling"
# How many jobs of a queue one worker does at once.
LANES = {
    # What a crash or a silence left open, and what lapses with time. Of each kind one at a time.
    "recovery": 3,
    # What the messages of gateways are about.
    "events": 2,
    # Everything else that is done by the clock. An audit takes one of the two for long.
    "default": 2,
    # What others are told; and beside it runs what numbers, delivers and sends. See api.beside.
    TELLING: 1,
    # Files of people, each for some seconds at a time.
    "sheets": 1,
    # What requests have left to a worker, so that with a slow gateway they come at the shop's pace.
    "payments": 8,
}
