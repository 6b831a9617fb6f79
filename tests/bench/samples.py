"""Samples for tests: what a run measured, in a few round numbers."""

from bench.sample import Sample


def sample(worker_us=None, envoy_us=200, latencies_us=(1000, 2000, 3000, 4000), **more):
    count = len(latencies_us)
    cpu_s = {"envoy": envoy_us * count / 1e6, "load": 20 * count / 1e6}
    if worker_us is not None:
        cpu_s["worker"] = worker_us * count / 1e6
    fields = {"errors": 0, "seconds": 2.0, **more}
    return Sample(requests=count, latencies_us=list(latencies_us), cpu_s=cpu_s, **fields)


def stream(worker_s=None, envoy_s=0.1, events=2000, reads=2000, seconds=2.0):
    cpu_s = {"envoy": envoy_s} if worker_s is None else {"envoy": envoy_s, "worker": worker_s}
    return Sample(0, 0, seconds, [], cpu_s, events, reads)
