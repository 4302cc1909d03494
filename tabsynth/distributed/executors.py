"""Executors that write shards; each yields the shards of a job in the order in which they are finished."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from tabsynth.common.process_state import environment
from tabsynth.distributed.shards import Job, Shard, one_thread, write_shard
from tabsynth.errors import TabsynthError, missing_package
from tabsynth.synthesizers.base import Synthesizer

Executor = Callable[[Job, Sequence[int], int], Iterator[Shard]]

RAY_SETTINGS = (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"))
"""Environment of Ray: no usage statistics; a task without a GPU keeps the process's environment."""

N_RAY_RETRIES = 5
"""Maximum retries of a shard whose worker was killed."""


def run_serially(job: Job, numbers: Sequence[int], workers: int) -> Iterator[Shard]:
    """Write shards one after the other in this process."""
    with one_thread():
        model = job.load_model()
        for number in numbers:
            yield write_shard(model, job, number)


def run_in_processes(job: Job, numbers: Sequence[int], workers: int) -> Iterator[Shard]:
    """Write shards in spawned processes, each of which loads the model once.

    Where a process is killed, the shards that are missing are written by new ones.

    Raises:
        TabsynthError: Processes are killed before they finish a single shard.
    """
    left = set(numbers)
    while left:
        pool = ProcessPoolExecutor(min(workers, len(left)), multiprocessing.get_context("spawn"), _start_worker, (job,))
        before = len(left)
        try:
            for future in as_completed([pool.submit(_write_in_worker, number) for number in sorted(left)]):
                shard = future.result()
                left.discard(shard.number)
                yield shard
        except BrokenProcessPool as error:
            if len(left) == before:
                raise TabsynthError(
                    f"a worker process was killed before it wrote a shard of {job.plan.shard_rows} rows, probably for "
                    "its memory: use fewer workers or smaller shards; finished shards are kept"
                ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def run_on_ray(job: Job, numbers: Sequence[int], workers: int) -> Iterator[Shard]:
    """Write shards as Ray tasks; the output folder must be one that all nodes share.

    The cluster is that of the environment variable ``RAY_ADDRESS``; without it, a local one is started for this call.
    Ray repeats the tasks of killed workers.

    Raises:
        MissingDependencyError: Ray is not installed.
    """
    with _ray_session(workers) as ray:
        task = ray.remote(num_cpus=1, max_retries=N_RAY_RETRIES)(_write_in_task)
        shared = ray.put(job)
        waiting = [task.remote(shared, number) for number in numbers]
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            yield from ray.get(done)


EXECUTORS: dict[str, Executor] = {"serial": run_serially, "processes": run_in_processes, "ray": run_on_ray}
"""Executors by name."""

_loaded: dict[str, tuple[Job, Synthesizer]] = {}
"""In a worker: the job that it works on, and its model."""


def _start_worker(job: Job) -> None:
    """Prepare a spawned process: load the model, and exit when the parent is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
    with one_thread():
        _loaded["job"] = job, job.load_model()


def _write_in_worker(number: int) -> Shard:
    job, model = _loaded["job"]
    with one_thread():
        return write_shard(model, job, number)


def _write_in_task(job: Job, number: int) -> Shard:
    """Return a Ray task; a worker process loads the model with its first task of a job."""
    with one_thread():
        if job.plan.model not in _loaded:
            _loaded.clear()
            _loaded[job.plan.model] = job, job.load_model()
        return write_shard(_loaded[job.plan.model][1], job, number)


@contextmanager
def _ray_session(workers: int) -> Iterator[Any]:
    """Connect to Ray; a cluster that was started here is stopped at the end."""
    with environment(*RAY_SETTINGS).made():
        try:
            import ray
        except ImportError as error:
            raise missing_package("sampling on Ray", "ray", "ray") from error
        if ray.is_initialized():
            yield ray
            return
        address = os.environ.get("RAY_ADDRESS")
        local: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
        try:
            yield ray
        finally:
            ray.shutdown()
