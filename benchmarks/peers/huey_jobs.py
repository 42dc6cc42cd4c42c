"""huey on Redis, with results."""

import os
import sys

import ticks
from huey import RedisHuey

huey = RedisHuey(url=os.environ["BENCH_REDIS"])
tasks = {name: huey.task(name=name)(getattr(ticks, name)) for name in ticks.WORKLOADS}

if __name__ == "__main__":
    task, argument = tasks[sys.argv[1]], ticks.argument(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        task(argument)
