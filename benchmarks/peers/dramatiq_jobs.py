"""dramatiq on Redis, with results."""

import os
import sys

import dramatiq
import ticks
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=os.environ["BENCH_REDIS"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_REDIS"])))
dramatiq.set_broker(broker)
tasks = {name: dramatiq.actor(actor_name=name, store_results=True)(getattr(ticks, name)) for name in ticks.WORKLOADS}

if __name__ == "__main__":
    task, argument = tasks[sys.argv[1]], ticks.argument(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        task.send(argument)
