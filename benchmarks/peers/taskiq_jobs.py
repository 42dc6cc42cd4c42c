"""taskiq on Redis, with results."""

import asyncio
import os
import sys

import ticks
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

broker = ListQueueBroker(os.environ["BENCH_REDIS"]).with_result_backend(
    RedisAsyncResultBackend(os.environ["BENCH_REDIS"])
)
tasks = {name: broker.task(task_name=name)(getattr(ticks, name)) for name in ticks.WORKLOADS}


async def submit(workload: str, number: int) -> None:
    """Enqueue that many jobs."""
    await broker.startup()
    for _ in range(number):
        await tasks[workload].kiq(ticks.argument(workload))
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(submit(sys.argv[1], int(sys.argv[2])))
