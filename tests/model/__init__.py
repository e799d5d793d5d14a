"""The shop against a small model of what the documents say, whatever happens in whatever order.

`arithmetic` and its parts are the model: plain Python that knows nothing of Holdfast. `machine` has
what happens, `driving` how it is done: by the services, or over HTTP with answers that get lost.
`python -m tests.model --minutes 20 --seed 7` runs long.
"""
