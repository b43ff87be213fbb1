"""The fault campaign: what a night can do to a run, done on purpose, many times, with what must hold after each."""
