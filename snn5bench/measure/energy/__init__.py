"""Energy of one sample under published cost models: never one number, always a range with its assumptions.

For one network and the same spikes the models below lie two orders of magnitude apart, since most of the energy is
memory traffic and each model sees another part of it. So each says what it leaves out, splits what it counts into
operations, memory and addressing, and prices a dense twin of the same shape beside the spiking network, with the spike
rate at which the two break even.
"""
