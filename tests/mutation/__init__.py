"""What notices if a guard is gone: each guard is taken away alone, and tests that should fail run.

    python -m tests.mutation                    all of them, which takes an hour or two
    python -m tests.mutation --only stock       those whose kind or name has this in it
    python -m tests.mutation --list             say what there is, and run nothing

A guard is a lock, its order or its strength, a CHECK, a trigger, a look under a lock, a permission.
Whatever can be found is found, in the source or in the database's catalog, so that a new one is not
forgotten. A guard whose removal nothing notices ends the run with status 1.
"""
