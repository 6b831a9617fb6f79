"""How what a core does becomes counters, and counters become a look."""

from engines.load import Adapters, Load, Total
from engines.sim.meter import Histogram, Meter
from engines.sim.scheduler import Scheduler
from engines.sim.sequence import Sequence
from engines.sim.span import Span


def look(meter: Meter, scheduler: Scheduler, started_s: float) -> Load:
    """What /metrics would say. Cost: 4 us."""
    profile = scheduler.profile
    return Load(
        running=len(scheduler.running),
        waiting=scheduler.queued,
        kv_usage=scheduler.pages.usage,
        adapters=_adapters(scheduler) if scheduler.loaded else Adapters(),
        block_tokens=profile.block_tokens,
        blocks=profile.blocks,
        started_s=started_s,
        preemptions=meter.preemptions,
        prompt_tokens=meter.prompt_tokens,
        cached_tokens=meter.cached_tokens,
        generation_tokens=meter.generation_tokens,
        prefill_s=_total(meter.prefill_s),
        prefill_tokens=_total(meter.prefill_computed_tokens),
        queue_s=_total(meter.queue_s),
        itl_s=_total(meter.itl_s),
        ttft_s=_total(meter.ttft_s),
        ttft_buckets=meter.ttft_s.buckets(),
    )


def count_first(meter: Meter, sequence: Sequence) -> None:
    """A sequence has its first token."""
    job, cached_tokens = sequence.job, sequence.cached_tokens
    meter.ttft_s.observe(sequence.first_s - sequence.arrived_s)
    meter.looked_up(job.prompt_tokens, cached_tokens)
    meter.prefilled(job.prompt_tokens, cached_tokens)
    meter.received_tokens += max(job.received_tokens - cached_tokens, 0)


def count_done(meter: Meter, sequence: Sequence) -> None:
    """A sequence has its last token."""
    job = sequence.job
    meter.succeeded(
        job.reason,
        prompt_tokens=job.prompt_tokens,
        computed_tokens=job.prompt_tokens - max(sequence.cached_tokens, job.received_tokens),
        generated_tokens=job.output_tokens,
    )
    moments = (sequence.arrived_s, sequence.scheduled_s, sequence.first_s, sequence.last_s)
    meter.timed(moments, job.output_tokens)
    meter.request_preemptions.observe(sequence.preemptions)


def count_steps(itl_s: Histogram, span: Span, steps: tuple[int, int], times: int) -> None:
    """Count steps of a span, which get longer one by one, with as few looks as buckets allow."""
    done, last = steps
    while done < last:
        first_s = span.end_s(done + 1) - span.end_s(done)
        last_s = span.end_s(last) - span.end_s(last - 1)
        if itl_s.bucket(first_s) == itl_s.bucket(last_s):
            total_s = span.end_s(last) - span.end_s(done)
            itl_s.observe(total_s / (last - done), (last - done) * times)
            return
        itl_s.observe(first_s, times)
        done += 1


def _adapters(scheduler: Scheduler) -> Adapters:
    running = tuple(sorted(scheduler.adapters))
    waiting = tuple(sorted(scheduler.waiting_adapters()))
    return Adapters(scheduler.profile.lora_slots, running, waiting)


def _total(histogram: Histogram) -> Total:
    return Total(histogram.total, histogram.count)
